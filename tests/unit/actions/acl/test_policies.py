"""Stored access policies as texts: what is not to change goes back byte for byte."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape

import pytest
from azure.mgmt.storage.models import FileShare, Table
from hypothesis import given
from hypothesis import strategies as st

from shared.actions.acl.policies import (
    TOMBSTONE_END,
    MalformedPolicies,
    Policies,
    SignedIdentifier,
    entombed,
    find,
    from_arm,
    from_xml,
    to_arm,
    to_xml,
    tombstone,
    without,
)
from shared.domain.account import PolicyState
from tests.support.samples import NOW

HEAD = '<?xml version="1.0" encoding="utf-8"?>'

# As Azure and its users write them: full, with fields missing, with no field at all, and with what nobody here knows.
WRITTEN = [
    "<SignedIdentifier><Id>full</Id><AccessPolicy><Start>2026-01-01T00:00:00.0000000Z</Start>"
    "<Expiry>2027-01-01T10:20:30.1234567Z</Expiry><Permission>rwdl</Permission></AccessPolicy></SignedIdentifier>",
    "<SignedIdentifier><Id>dates</Id><AccessPolicy><Start>2026-01-01</Start><Expiry>2027-01-01</Expiry>"
    "</AccessPolicy></SignedIdentifier>",
    "<SignedIdentifier><Id>rights</Id><AccessPolicy><Permission>rl</Permission></AccessPolicy></SignedIdentifier>",
    "<SignedIdentifier><Id>bare</Id></SignedIdentifier>",
    "<SignedIdentifier><Id>empty</Id><AccessPolicy /></SignedIdentifier>",
    "<SignedIdentifier>\n  <Id>blank &amp; odd</Id>\n  <AccessPolicy>\n    <Start></Start>\n    <Expiry />"
    "\n  </AccessPolicy>\n</SignedIdentifier>",
    "<SignedIdentifier><AccessPolicy><Permission>r</Permission><Tier note='ü'>hot</Tier></AccessPolicy>"
    "<Id>später</Id></SignedIdentifier>",
]


def document(*identifiers: str) -> bytes:
    return f"{HEAD}<SignedIdentifiers>{''.join(identifiers)}</SignedIdentifiers>".encode()


# reading


def test_policy_is_read_as_it_is_written() -> None:
    [full] = from_xml(document(WRITTEN[0]))

    assert (full.id, full.start, full.expiry, full.permissions) == (
        "full",
        "2026-01-01T00:00:00.0000000Z",
        "2027-01-01T10:20:30.1234567Z",
        "rwdl",
    )


@pytest.mark.parametrize("written", WRITTEN[3:6])
def test_field_that_is_missing_or_empty_is_none(written: str) -> None:
    [read] = from_xml(document(written))

    assert (read.start, read.expiry, read.permissions) == (None, None, None)


def test_text_of_an_id_is_what_stands_for_it() -> None:
    assert [identifier.id for identifier in from_xml(document(*WRITTEN[5:]))] == ["blank & odd", "später"]


@pytest.mark.parametrize(
    "body",
    [
        f"{HEAD}<SignedIdentifiers />".encode(),
        f"{HEAD}<SignedIdentifiers></SignedIdentifiers>".encode(),
        f"\ufeff{HEAD}<SignedIdentifiers />".encode(),
        b"<SignedIdentifiers>\n</SignedIdentifiers>",
    ],
)
def test_resource_without_policies_has_an_empty_list(body: bytes) -> None:
    assert from_xml(body) == ()


def test_byte_order_mark_shifts_nothing() -> None:
    assert from_xml(b"\xef\xbb\xbf" + document(*WRITTEN)) == from_xml(document(*WRITTEN))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not found",
        b"<html></html>",
        b"<SignedIdentifiers>",
        b"<SignedIdentifiers><SignedIdentifier></SignedIdentifier></SignedIdentifiers>",
        b"<SignedIdentifiers><SignedIdentifier/></SignedIdentifiers>",
        b"<SignedIdentifiers><SignedIdentifier><Id>\xff</Id></SignedIdentifier></SignedIdentifiers>",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><SignedIdentifiers/>",
        b"<SignedIdentifiers><SignedIdentifier><Id>&b;</Id></SignedIdentifier></SignedIdentifiers>",
    ],
)
def test_what_is_no_list_of_policies_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedPolicies):
        from_xml(body)


PIECES = (
    *WRITTEN,
    "<SignedIdentifiers>",
    "</SignedIdentifiers>",
    "<Id>",
    "</Id>",
    "<![CDATA[",
    "]]>",
    "&lt;",
    "<",
    "ü",
)


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_no_answer_breaks_the_reader(pieces: list[str]) -> None:
    with contextlib.suppress(MalformedPolicies):
        from_xml("".join(pieces).encode())


# writing


def test_what_was_read_is_written_byte_for_byte() -> None:
    assert to_xml(from_xml(document(*WRITTEN))) == document(*WRITTEN)


@pytest.mark.parametrize("position", range(len(WRITTEN)))
def test_only_the_policy_that_is_ended_changes(position: int) -> None:
    policies = from_xml(document(*WRITTEN))
    ended = policies[position].id

    written = to_xml(entombed(policies, ended))

    rest = [text for number, text in enumerate(WRITTEN) if number != position]
    assert all(text.encode() in written for text in rest)
    assert from_xml(written)[position].state(NOW) is PolicyState.TOMBSTONE
    assert [identifier.id for identifier in from_xml(written)] == [identifier.id for identifier in policies]


@pytest.mark.parametrize("position", range(len(WRITTEN)))
def test_only_the_policy_that_is_deleted_goes(position: int) -> None:
    policies = from_xml(document(*WRITTEN))

    written = to_xml(without(policies, policies[position].id))

    assert written == document(*(text for number, text in enumerate(WRITTEN) if number != position))


def test_tombstone_is_its_id_and_an_end_in_the_past_and_nothing_else() -> None:
    assert to_xml((tombstone("a<b"),)) == document(
        "<SignedIdentifier><Id>a&lt;b</Id><AccessPolicy><Expiry>2000-01-01T00:00:00.0000000Z</Expiry>"
        "</AccessPolicy></SignedIdentifier>"
    )


def test_policy_that_is_gone_is_buried_behind_the_others() -> None:
    buried = entombed(from_xml(document(WRITTEN[0])), "partners")

    assert [identifier.id for identifier in buried] == ["full", "partners"]


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=64)
moments = st.sampled_from(["2026-01-01", "2026-01-01T10:00Z", "2026-01-01T10:00:00.1234567Z", "", None])


@st.composite
def identifiers(draw: st.DrawFn) -> str:
    name = escape(draw(texts))
    fields = [(tag, draw(moments)) for tag in ("Start", "Expiry")] + [
        ("Permission", draw(st.sampled_from(["r", "rwdl", "", None])))
    ]
    inner = "".join(f"<{tag}>{text}</{tag}>" for tag, text in fields if text is not None)
    policy = draw(st.sampled_from([f"<AccessPolicy>{inner}</AccessPolicy>", "<AccessPolicy/>", ""]))
    return f"<SignedIdentifier><Id>{name}</Id>{policy}</SignedIdentifier>"


@given(st.lists(identifiers(), max_size=5), st.sampled_from(["", "\n", "\n  "]))
def test_whatever_the_policies_are_they_survive_the_round_trip(written: list[str], gap: str) -> None:
    read = from_xml(document(*(gap + text for text in written)))

    assert to_xml(read) == document(*written)


@given(st.lists(identifiers(), max_size=5), texts)
def test_whatever_the_policies_are_ending_one_leaves_the_others(written: list[str], policy: str) -> None:
    read = from_xml(document(*written))

    again = from_xml(to_xml(entombed(read, policy)))

    assert without(again, policy) == without(read, policy)
    ended = find(again, policy)
    assert ended is not None
    assert ended.state(NOW) is PolicyState.TOMBSTONE


# what a policy says


@pytest.mark.parametrize(
    ("expiry", "expires"),
    [
        ("2027-01-01", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01T10:20Z", datetime(2027, 1, 1, 10, 20, tzinfo=UTC)),
        ("2027-01-01T10:20:30Z", datetime(2027, 1, 1, 10, 20, 30, tzinfo=UTC)),
        ("2027-01-01T10:20:30.1234567Z", datetime(2027, 1, 1, 10, 20, 30, 123456, tzinfo=UTC)),
        ("2027-01-01T12:20:30+02:00", datetime(2027, 1, 1, 10, 20, 30, tzinfo=UTC)),
        ("9999-12-31T23:59:59.9999999-12:00", None),
        ("soon", None),
        (None, None),
    ],
)
def test_end_of_a_policy_is_read_in_every_form_that_azure_takes(expiry: str | None, expires: datetime | None) -> None:
    assert SignedIdentifier("a", expiry=expiry).expires == expires


@pytest.mark.parametrize(
    ("expiry", "state"),
    [
        ((NOW + timedelta(seconds=1)).isoformat(), PolicyState.LIVE),
        (NOW.isoformat(), PolicyState.EXPIRED),
        ("2020-01-01", PolicyState.EXPIRED),
        (TOMBSTONE_END, PolicyState.TOMBSTONE),
        ("2000-01-01", PolicyState.TOMBSTONE),
        ("2000-01-01T00:00:00Z", PolicyState.TOMBSTONE),
        ("soon", PolicyState.LIVE),
        (None, PolicyState.LIVE),
    ],
)
def test_policy_is_alive_until_its_end_is_over(expiry: str | None, state: PolicyState) -> None:
    assert SignedIdentifier("a", expiry=expiry).state(NOW) is state


BASE = SignedIdentifier("a", "2026-01-01", "2027-01-01", "r")


@pytest.mark.parametrize(
    "other",
    [
        SignedIdentifier("b", "2026-01-01", "2027-01-01", "r"),
        SignedIdentifier("a", "2026-01-02", "2027-01-01", "r"),
        SignedIdentifier("a", "2026-01-01", "2027-01-02", "r"),
        SignedIdentifier("a", "2026-01-01", "2027-01-01", "rw"),
        SignedIdentifier("a", None, "2027-01-01", "r"),
        SignedIdentifier("a", "2027-01-01", "2026-01-01", "r"),
    ],
)
def test_version_changes_with_all_that_a_policy_says(other: SignedIdentifier) -> None:
    assert other.version != BASE.version


def test_version_is_the_same_through_arm_and_through_the_data_plane() -> None:
    [by_data_plane] = from_xml(document(WRITTEN[0]))
    [by_arm] = from_arm({"signedIdentifiers": [ARM_ITEMS[0]]})

    assert by_arm.version == by_data_plane.version


# through ARM

ARM_ITEMS: list[dict[str, Any]] = [
    {
        "id": "full",
        "accessPolicy": {
            "startTime": "2026-01-01T00:00:00.0000000Z",
            "expiryTime": "2027-01-01T10:20:30.1234567Z",
            "permission": "rwdl",
        },
    },
    {"id": "dates", "accessPolicy": {"startTime": "2026-01-01", "permission": "r"}},
    {"id": "bare"},
    {"id": "null", "accessPolicy": None, "tier": ["hot", {"x": 1}]},
]


@pytest.mark.parametrize("model", [Table, FileShare])
def test_what_arm_said_is_given_back_as_it_was_said(model: type[Table] | type[FileShare]) -> None:
    resource = model({"properties": {"signedIdentifiers": ARM_ITEMS}})

    assert to_arm(from_arm(resource["properties"]), permission_required=True) == ARM_ITEMS


@pytest.mark.parametrize("properties", [None, {}, {"signedIdentifiers": None}, {"signedIdentifiers": []}])
def test_arm_may_say_in_many_ways_that_there_are_no_policies(properties: dict[str, Any] | None) -> None:
    assert from_arm(properties) == ()


@pytest.mark.parametrize("items", [[{}], ["a"], [{"id": "a", "accessPolicy": "r"}], 7])
def test_what_is_not_of_arm_s_shape_is_refused(items: object) -> None:
    with pytest.raises(MalformedPolicies):
        from_arm({"signedIdentifiers": items})


@pytest.mark.parametrize(
    ("required", "policy"),
    [(False, {"expiryTime": TOMBSTONE_END}), (True, {"expiryTime": TOMBSTONE_END, "permission": "r"})],
)
def test_tombstone_through_arm_has_a_permission_only_where_arm_asks_for_one(
    required: bool, policy: dict[str, str]
) -> None:
    policies: Policies = (tombstone("a"),)

    assert to_arm(policies, permission_required=required) == [{"id": "a", "accessPolicy": policy}]
