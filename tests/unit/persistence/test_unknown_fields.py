"""Fields of a newer version survive a change by this one."""

import json
from dataclasses import dataclass, replace

import msgspec
import pytest

from shared.persistence.unknown_fields import with_unknown


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Whole:
    title: str
    part: Part = Part("p")
    parts: tuple[Part, ...] = ()
    added: str = "default"


NEWER = {
    "title": "t",
    "novel": {"a": 1},
    "part": {"name": "p", "size": 1, "novel": True},
    "parts": [{"name": "one", "novel": 1}, {"name": "two", "novel": 2}],
}


def changed(read: dict[str, object], **change: object) -> dict[str, object]:
    text = json.dumps(read)
    value = replace(msgspec.json.decode(text, type=Whole), **change)  # type: ignore[arg-type]
    found: dict[str, object] = json.loads(with_unknown(msgspec.json.encode(value), read=text, kind=Whole))
    return found


def test_unchanged_value_stays_as_it_was_written() -> None:
    assert changed(NEWER) == NEWER


def test_unknown_field_survives_a_change_beside_it() -> None:
    assert changed(NEWER, title="other") == NEWER | {"title": "other", "added": "default"}


def test_unknown_field_of_a_member_that_did_not_change_survives() -> None:
    assert changed(NEWER, title="other")["part"] == NEWER["part"]


def test_unknown_field_of_a_member_that_changed_does_not_describe_the_new_one() -> None:
    assert changed(NEWER, part=Part("q", 2))["part"] == {"name": "q", "size": 2}


def test_elements_that_stay_keep_their_unknown_fields() -> None:
    found = changed(NEWER, parts=(Part("two"), Part("three")))

    assert found["parts"] == [{"name": "two", "novel": 2}, {"name": "three", "size": 0}]


def test_field_that_an_older_version_did_not_write_is_written() -> None:
    assert changed({"title": "t"}, title="u")["added"] == "default"


@pytest.mark.parametrize(("replaced", "kept"), [(True, False), (False, True)])
def test_object_that_another_replaced_keeps_nothing_of_it(replaced: bool, kept: bool) -> None:
    new = msgspec.json.encode(Part("other"))

    found = json.loads(with_unknown(new, read='{"name":"p","novel":1}', kind=Part, replaced=replaced))

    assert ("novel" in found) is kept


@pytest.mark.parametrize("read", ["null", '{"name":"p","novel":1}'])
def test_value_that_appears_or_goes_is_as_it_is_now(read: str) -> None:
    new = b'{"name":"q","size":0}' if read == "null" else b"null"

    assert with_unknown(new, read=read, kind=Part | None) == new.decode()
