"""Find raw account keys in one reading of a text: in connection strings, and beside an account's name.

A storage account's key is 64 bytes in base64. So are the keys of other services, and every SHA-512 sum: what counts
is what stands around it.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from .anchors import runs
from .connections import Connection
from .credential import Credential
from .kinds import Kind
from .leak import Leak, Sighting
from .normalize import percent_decoded
from .places import NO_NAMES, Places

EMULATOR_KEY_SHA256 = "cb4de97f405a7e4686710db86f345ac95acb27c33192e82caafa9c197f2019e5"
"""The hash of the storage emulator's key, which Microsoft publishes."""

_KEY = re.compile(
    r"(?<![A-Za-z0-9+/%])(?:[A-Za-z0-9+/]|%2[BbFf]){86}(?:(?P<padding>==|%3[Dd]%3[Dd])|(?![A-Za-z0-9+/=%]))(?![A-Za-z0-9+/=])"
)
_FIRST_OF_CONNECTION = re.compile(r"(?:[A-Za-z0-9+/]|%2[BbFf]){86}(?![A-Za-z0-9+/])")
# Behind an account's name: an argument after it, a setting after it.
_NAME_BEFORE = re.compile(
    r"[\"']([a-z0-9]{3,24})[\"']\s{0,8},?\s{0,8}(?:[A-Za-z_]{1,30}\s?=\s?)?[\"']?\Z"
    r"|\b(?:account|user(?:name)?)[\"']?\s?[=:]\s?[\"']?([a-z0-9]{3,24})[\"']?[\s,;]{1,8}"
    r"[\"']?(?:key|pass(?:word)?)[\"']?\s?[=:]\s?[\"']?\Z"
)
# The last but one is how Azure itself lists keys: {"keyName": "key1", "permissions": "FULL", "value": "…"}. The last
# is Terraform's: `primary_access_key`.
_LABEL_BEFORE = re.compile(
    r"account[_. -]?(?:access)?[_. -]?key[A-Za-z0-9_]{0,4}(?:\s?:\s?[A-Za-z]{1,12}\s?(?==))?[^A-Za-z0-9]{1,12}\Z"
    r"|storage[A-Za-z0-9_. -]{0,24}key[A-Za-z0-9_]{0,4}(?:\s?:\s?[A-Za-z]{1,12}\s?(?==))?[^A-Za-z0-9]{1,12}\Z"
    r"|\bkey[12]\b(?:[^A-Za-z0-9]{1,20}(?:permissions|full|value)){0,3}[^A-Za-z0-9]{1,12}\Z"
    r"|(?:primary|secondary)_?access_?key[^A-Za-z0-9]{1,12}\Z",
    re.IGNORECASE,
)
_LABEL_AFTER = re.compile(
    r"\s{0,3}[^\n]{0,20}\bazure[_ -]storage[_ -](?:account[_ -])?(?:access[_ -])?key", re.IGNORECASE
)
_ANY_LABEL_BEFORE = re.compile(
    r"(?P<label>[A-Za-z0-9_.-]{2,60})(?:\s?:\s?[A-Za-z]{1,12}\s?(?==))?[^A-Za-z0-9]{1,12}\Z"
)
# Log Analytics: its workspaces' keys have the same form, and stand beside storage accounts in templates.
_FOREIGN_LABEL_BEFORE = re.compile(
    r"(?:workspace|analytics|\b(?:primary|secondary)shared)[_-]?key[^A-Za-z0-9]{1,8}\Z", re.IGNORECASE
)
_REACH = 100  # characters before a key in which its label is searched
_MARK = slice(76, 80)  # of a key that identifies its service: "Identifiable keys", microsoft/security-utilities
_STORAGE_MARK = "+ASt"
_PADDING = 3  # characters behind a key's last one: "==", and what may not follow it
_FEWEST_MARKS = 20  # different characters in a key; with fewer it is a placeholder


def find_keys(view: str, connections: Sequence[Connection], places: Places, *, alone: bool) -> Iterator[Sighting]:
    """Yield the account keys in `view` and where they are; `alone` says that nothing else was reported."""
    taken = set()
    for connection in connections:
        match = _FIRST_OF_CONNECTION.match(connection.key)
        if match is None or (connection.host is None and not connection.foreign):
            continue
        taken.add(connection.key_at)
        if not connection.foreign:
            yield from _at(connection.key_at, match[0], [connection.host], path=connection.path)
    for start, end in runs(view, 86):
        for match in _KEY.finditer(view, start, end + _PADDING):
            if match.start() not in taken:
                yield from _beside(match, view, places, alone=alone and match[0] == view.strip())


def _beside(match: re.Match[str], view: str, places: Places, *, alone: bool) -> Iterator[Sighting]:
    start, end = match.span()
    before = view[max(0, start - _REACH) : start]
    if _FOREIGN_LABEL_BEFORE.search(before):
        return
    named = _NAME_BEFORE.search(before)
    name = named[1] or named[2] if named else None
    any_label = _ANY_LABEL_BEFORE.search(before)
    label = any_label["label"] if any_label else ""
    if match["padding"] is None and "key" not in label.lower():
        return
    mentions = places.of_key(start, end, label)
    hosts: list[str | None] = [each.host for each in mentions if each.host is not None]
    if name is not None and name not in NO_NAMES:
        yield from _at(start, match[0], [f"{name}.blob.core.windows.net", *hosts])
    elif mentions:
        if mentions[0].account is not None:
            yield from _at(start, match[0], hosts)
    elif alone or _says_what_it_is(match, view, before):
        yield from _at(start, match[0], [None])


def _says_what_it_is(match: re.Match[str], view: str, before: str) -> bool:
    """Whether a key without an account near is a storage account's, by its mark or its label."""
    return (
        match[0][_MARK] == _STORAGE_MARK
        or _LABEL_BEFORE.search(before) is not None
        or (not before.rpartition("\n")[2].strip() and _LABEL_AFTER.match(view, match.end()) is not None)
    )


def _at(position: int, key: str, hosts: Sequence[str | None], *, path: str | None = None) -> Iterator[Sighting]:
    """Yield the key at the first of the `hosts`; the others may be its own, too."""
    text = percent_decoded(key).rstrip("=") + "=="
    if len(set(text)) >= _FEWEST_MARKS:
        digest = hashlib.sha256(base64.b64decode(text)).hexdigest()
        credential = Credential(Kind.ACCOUNT_KEY, hosts[0], path, (), None, digest)
        others = tuple(replace(credential, host=host) for host in dict.fromkeys(hosts[1:]) if host != hosts[0])
        yield Sighting(position, Leak(credential, None, others), whole=hosts[0] is not None and not others)
