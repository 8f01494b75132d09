"""Carries JSON fields that this version does not know through a change of the row that holds them.

msgspec ignores unknown fields, so they are gone once a value is encoded again. But a newer version may have written
them, and is deployed again. Unknown columns need nothing: rows are merged, not replaced.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

type _Members = dict[str, msgspec.Raw]


def with_unknown(new: bytes, *, read: str, kind: Any, replaced: bool = False) -> str:
    """Return `new`, the JSON of a value, with what its text as it was `read` has and `kind` does not know.

    A value that did not change stays as it was written. In an object that did, unknown members are kept, and known
    ones that did not change; in an array, elements that did not change. `replaced`: another object took its place,
    and unknown members of the one before say nothing about it.
    """
    before = read.encode()
    if new == before:
        return read
    known = msgspec.json.encode(msgspec.json.decode(before, type=kind))
    if new == known:
        return read
    return new.decode() if replaced and new.startswith(b"{") else _merged(before, known, new).decode()


def _merged(before: bytes, known: bytes, new: bytes) -> bytes:
    if all(text.startswith(b"{") for text in (before, known, new)):
        return _merged_objects(_members(before), _members(known), _members(new))
    if all(text.startswith(b"[") for text in (before, known, new)):
        return _merged_arrays(_elements(before), _elements(known), _elements(new))
    return new


def _merged_objects(before: _Members, known: _Members, new: _Members) -> bytes:
    merged: dict[str, msgspec.Raw] = {name: raw for name, raw in before.items() if name not in known}
    for name, raw in new.items():
        if name not in before or name not in known:
            merged[name] = raw
        elif bytes(raw) == bytes(known[name]):
            merged[name] = before[name]
        elif bytes(raw).startswith(b"["):
            merged[name] = msgspec.Raw(_merged(bytes(before[name]), bytes(known[name]), bytes(raw)))
        else:
            merged[name] = raw
    return msgspec.json.encode(merged)


def _merged_arrays(before: list[msgspec.Raw], known: list[msgspec.Raw], new: list[msgspec.Raw]) -> bytes:
    if len(before) != len(known):
        return msgspec.json.encode(new)
    as_written: Mapping[bytes, msgspec.Raw] = {bytes(k): b for k, b in zip(known, before, strict=True)}
    return msgspec.json.encode([as_written.get(bytes(element), element) for element in new])


def _members(text: bytes) -> _Members:
    return msgspec.json.decode(text, type=dict[str, msgspec.Raw])


def _elements(text: bytes) -> list[msgspec.Raw]:
    return msgspec.json.decode(text, type=list[msgspec.Raw])
