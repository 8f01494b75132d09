"""The document of Get and Set ACL, and what a policy adds to a SAS."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.storage.access_policies import check_time, grant, parse, policy_of, render
from local.storage.errors import Refusal
from local.tenant.model import AccessPolicy, SignedIdentifier

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TIMES = (None, "", "2024-01-01", "2024-01-01T00:00Z", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00.1234567Z")
IDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=["C"]), min_size=1, max_size=64
)
POLICIES = st.none() | st.builds(
    AccessPolicy, st.sampled_from(TIMES), st.sampled_from(TIMES), st.sampled_from((None, "", "r", "wr", "raud"))
)
IDENTIFIERS = st.lists(st.builds(SignedIdentifier, IDS, POLICIES), max_size=5, unique_by=lambda found: found.id)


def document(*identifiers: str) -> bytes:
    return f"<SignedIdentifiers>{''.join(identifiers)}</SignedIdentifiers>".encode()


def identifier(inner: str, name: str = "p") -> str:
    return f"<SignedIdentifier><Id>{name}</Id>{inner}</SignedIdentifier>"


@given(IDENTIFIERS)
def test_identifiers_are_returned_as_written(identifiers: list[SignedIdentifier]) -> None:
    table = [found for found in identifiers if set((found.policy or AccessPolicy()).permission or "") <= set("raud")]
    assert parse(render(table), "table") == tuple(table)


@pytest.mark.parametrize(
    "body", [b"", b"<SignedIdentifiers/>", b"\xef\xbb\xbf<SignedIdentifiers></SignedIdentifiers>"]
)
def test_document_may_contain_no_policy(body: bytes) -> None:
    assert parse(body, "blob") == ()


def test_missing_policy_empty_policy_and_empty_field_differ() -> None:
    body = document(
        identifier("", "a"),
        identifier("<AccessPolicy/>", "b"),
        identifier("<AccessPolicy><Start/></AccessPolicy>", "c"),
    )
    assert [found.policy for found in parse(body, "blob")] == [None, AccessPolicy(), AccessPolicy(start="")]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<SignedIdentifiers>", "InvalidXmlDocument"),
        (b"<Other/>", "InvalidXmlDocument"),
        (b"<!DOCTYPE a><SignedIdentifiers/>", "InvalidXmlDocument"),
        (b"<?xml version='1.0' encoding='x'?><SignedIdentifiers/>", "InvalidXmlDocument"),
        (document("<Other/>"), "InvalidXmlDocument"),
        (document("<SignedIdentifier/>"), "InvalidXmlDocument"),
        (document(identifier("<Other/>")), "InvalidXmlDocument"),
        (document(identifier("text")), "InvalidXmlDocument"),
        (document(identifier("<AccessPolicy><Start/><Start/></AccessPolicy>")), "InvalidXmlDocument"),
        (document(identifier("<AccessPolicy><Start><a/></Start></AccessPolicy>")), "InvalidXmlDocument"),
        (document(*(identifier("", name) for name in "abcdef")), "InvalidXmlDocument"),
        (document(identifier(""), identifier("")), "InvalidXmlDocument"),
        (document(identifier("", "")), "InvalidXmlNodeValue"),
        (document(identifier("", "i" * 65)), "InvalidXmlNodeValue"),
        (document(identifier("<AccessPolicy><Expiry>soon</Expiry></AccessPolicy>")), "InvalidXmlNodeValue"),
        (document(identifier("<AccessPolicy><Permission>z</Permission></AccessPolicy>")), "InvalidXmlNodeValue"),
    ],
)
def test_document_that_azure_refuses_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse(body, "blob")
    assert caught.value.code == code


@pytest.mark.parametrize(("service", "letter"), [("queue", "w"), ("table", "l"), ("file", "a")])
def test_permission_of_another_service_is_refused(service: str, letter: str) -> None:
    body = document(identifier(f"<AccessPolicy><Permission>{letter}</Permission></AccessPolicy>"))
    with pytest.raises(Refusal):
        parse(body, service)


@pytest.mark.parametrize(
    ("token", "policy"),
    [
        (AccessPolicy(None, "2030-01-01", "r"), AccessPolicy()),
        (AccessPolicy(), AccessPolicy(None, "2030-01-01", "r")),
        (AccessPolicy(expiry="2030-01-01"), AccessPolicy(permission="r", expiry="")),
    ],
)
def test_token_and_policy_complete_each_other(token: AccessPolicy, policy: AccessPolicy) -> None:
    allowed = grant(token, policy)
    assert (allowed.start, allowed.expiry, allowed.permission) == (None, "2030-01-01", "r")


@pytest.mark.parametrize(
    ("token", "policy", "words"),
    [
        (AccessPolicy(None, "2030-01-01", "r"), AccessPolicy(expiry="2030-01-01"), "but not both"),
        (AccessPolicy(None, "2030-01-01", "r"), AccessPolicy(permission="w"), "but not both"),
        (AccessPolicy("2020-01-01", None, "r"), AccessPolicy("2020-01-01", "2030-01-01"), "but not both"),
        (AccessPolicy(permission="r"), AccessPolicy(), "Signed expiry must be specified"),
        (AccessPolicy(expiry="2030-01-01"), AccessPolicy(), "Signed permission must be specified"),
    ],
)
def test_field_that_both_have_or_that_neither_has_is_refused(
    token: AccessPolicy, policy: AccessPolicy, words: str
) -> None:
    with pytest.raises(Refusal) as caught:
        grant(token, policy)
    assert caught.value.code == "AuthenticationFailed"
    assert words in caught.value.detail


def test_unknown_policy_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        policy_of([SignedIdentifier("a", None)], "A")
    assert caught.value.code == "AuthenticationFailed"


@pytest.mark.parametrize(
    ("start", "expiry"),
    [(None, None), (None, "2026-11-24"), ("2026-11-23T12:00:00Z", "2026-11-23T12:00:01Z")],
)
def test_sas_is_accepted_from_start_to_expiry(start: str | None, expiry: str | None) -> None:
    check_time(start, expiry, now=NOW)


@pytest.mark.parametrize(
    ("start", "expiry"),
    [
        ("2026-11-23T12:00:01Z", None),
        (None, "2026-11-23T12:00:00Z"),
        (None, "2026-11-23"),
        ("2026-11-22", "2026-11-21"),
        (None, "soon"),
    ],
)
def test_sas_is_refused_outside_its_period(start: str | None, expiry: str | None) -> None:
    with pytest.raises(Refusal) as caught:
        check_time(start, expiry, now=NOW)
    assert caught.value.code == "AuthenticationFailed"


def test_times_with_seven_digits_are_cut_to_microseconds() -> None:
    check_time(None, (NOW + timedelta(microseconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z", now=NOW)
