from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.revocations.requests import (
    ApprovalRequest,
    OrderRequest,
    PageQuery,
    ReportRequest,
    read_approval,
    read_id,
    read_page_query,
    read_reason,
    read_submission,
)
from shared.domain.states import State
from shared.domain.target import ActionKind
from shared.errors import InvalidRequest, NoSuchRecord

URL = "https://sasquash.azurewebsites.net/api/revocations"
SECRET = "sv=2023-11-03&sig=c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2Vj%3D"
REPORT: dict[str, Any] = {"text": SECRET, "reason": "Found on GitHub"}
ORDER: dict[str, Any] = {
    "account": "robustmodels",
    "action": "account_key",
    "target": "key2",
    "reason": "Seen in a screenshot",
}


def with_values(base: Mapping[str, Any], **changed: object) -> dict[str, object]:
    return {**base, **changed}


def without(base: Mapping[str, Any], name: str) -> dict[str, object]:
    return {key: value for key, value in base.items() if key != name}


# Reports


def test_report_requires_text_and_reason() -> None:
    assert read_submission(REPORT) == ReportRequest(text=SECRET, reason="Found on GitHub")


def test_report_has_optional_fields() -> None:
    body = REPORT | {
        "url": "https://github.com/contoso/x",
        "source": "github",
        "accounts": ["robustmodels", "abc"],
        "wait": 60,
        "dry_run": True,
    }

    assert read_submission(body) == ReportRequest(
        text=SECRET,
        reason="Found on GitHub",
        url="https://github.com/contoso/x",
        source="github",
        accounts=("robustmodels", "abc"),
        wait=60.0,
        dry_run=True,
    )


def test_repr_of_report_has_no_text() -> None:
    assert "sig" not in repr(read_submission(REPORT))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text", ""),
        ("text", 1),
        ("text", None),
        ("text", [SECRET]),
        ("reason", ""),
        ("reason", " "),
        ("reason", " because"),
        ("reason", "two\nlines"),
        ("reason", "one line\n"),
        ("reason", "\x1b[31m"),
        ("reason", "a\u2028b"),
        ("reason", "approved\u202eon"),
        ("reason", "\u2066a"),
        ("reason", "a" * 501),
        ("reason", None),
        ("url", "a" * 2049),
        ("url", "a\nb"),
        ("url", 7),
        ("source", "a" * 201),
        ("source", None),
        ("accounts", "robustmodels"),
        ("accounts", ["Robust"]),
        ("accounts", ["ab"]),
        ("accounts", ["abc\n"]),
        ("accounts", ["a" * 25]),
        ("accounts", ["../evil"]),
        ("accounts", [None]),
        ("accounts", ["abc"] * 51),
        ("wait", -1),
        ("wait", 60.5),
        ("wait", "10"),
        ("wait", True),
        ("wait", 10**400),
        ("dry_run", "yes"),
        ("dry_run", 1),
        ("dry_run", None),
    ],
)
def test_invalid_field_is_named_without_its_value(field: str, value: object) -> None:
    with pytest.raises(InvalidRequest, match=f"^`{field}` must be ") as refused:
        read_submission(with_values(REPORT, **{field: value}))

    assert SECRET not in str(refused.value)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reason", "a" * 500),
        ("reason", "Grüße, 漏洩"),
        ("reason", "نعم, כן"),
        ("url", None),
        ("url", "\\\\server\\share"),
        ("accounts", []),
        ("accounts", ["abc"] * 50),
        ("wait", 0),
        ("wait", 0.5),
        ("dry_run", False),
    ],
)
def test_field_at_the_limit_is_accepted(field: str, value: object) -> None:
    read_submission(with_values(REPORT, **{field: value}))


@pytest.mark.parametrize("base", [REPORT, ORDER], ids=["report", "order"])
def test_unknown_field_is_refused_and_not_named(base: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="has a field that is not one of ") as refused:
        read_submission(with_values(base, **{SECRET: 1}))

    assert "sig" not in str(refused.value)


@pytest.mark.parametrize(
    ("base", "field"),
    [(REPORT, "reason"), (ORDER, "account"), (ORDER, "action"), (ORDER, "target"), (ORDER, "reason")],
)
def test_missing_field_is_named(base: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"are required: .*`{field}`"):
        read_submission(without(base, field))


@pytest.mark.parametrize("body", [{}, {"reason": "x"}, {"dry_run": True}])
def test_body_without_report_or_order_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match="neither `text`"):
        read_submission(body)


def test_report_with_order_fields_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        read_submission(REPORT | ORDER)


# Orders


@pytest.mark.parametrize(
    ("action", "target"),
    [
        ("account_key", "key1"),
        ("stored_policy", "blob/models/partners"),
        ("delegation_key", "all"),
        ("lockdown", "network"),
    ],
)
def test_order_names_account_action_and_target(action: str, target: str) -> None:
    read = read_submission(ORDER | {"action": action, "target": target})

    assert read == OrderRequest("robustmodels", ActionKind(action), target, "Seen in a screenshot")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("account", "Robust"),
        ("account", "a/../b"),
        ("account", 1),
        ("action", "reboot"),
        ("action", None),
        ("target", "key3"),
        ("target", "kerb1"),
        ("target", "key1\n"),
        ("target", "a" * 201),
        ("target", ""),
        ("reason", ""),
    ],
)
def test_invalid_order_is_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidRequest, match=f"^`{field}` ") as refused:
        read_submission(ORDER | {field: value})

    assert not value or str(value).strip() not in str(refused.value) or field == "action"


# Decisions


def test_approval_has_digest_and_reason() -> None:
    body = {"digest": "d" * 64, "reason": "The owner agrees"}

    assert read_approval(body) == ApprovalRequest("d" * 64, "The owner agrees")


@pytest.mark.parametrize("digest", ["", "d" * 63, "d" * 65, "D" * 64, "g" * 64, "d" * 64 + "\n", None, 1])
def test_digest_is_64_hex_digits(digest: object) -> None:
    with pytest.raises(InvalidRequest, match=r"^`digest` must be "):
        read_approval({"digest": digest, "reason": "x"})


def test_decision_has_a_reason_only() -> None:
    assert read_reason({"reason": "No"}) == "No"
    with pytest.raises(InvalidRequest):
        read_reason({"reason": "No", "digest": "d" * 64})
    with pytest.raises(InvalidRequest):
        read_reason({})


# Queries


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("", PageQuery()),
        ("?", PageQuery()),
        ("?state=awaiting_approval", PageQuery(state=State.AWAITING_APPROVAL)),
        ("?account=robustmodels&limit=100", PageQuery(account="robustmodels", limit=100)),
        ("?limit=1&after=eyJhIjoxfQ==", PageQuery(limit=1, after="eyJhIjoxfQ==")),
        ("?after=eyJhIjoxfQ%3D%3D", PageQuery(after="eyJhIjoxfQ==")),
    ],
)
def test_page_query_has_state_account_limit_and_page_token(query: str, read: PageQuery) -> None:
    assert read_page_query(URL + query) == read


@pytest.mark.parametrize(
    "query",
    [
        "?state=",
        "?state=Closed",
        "?state=closed,failed",
        "?state=closed&state=failed",
        "?account=",
        "?account=Robust",
        "?account=a%20or%201%20eq%201",
        "?limit=",
        "?limit=0",
        "?limit=101",
        "?limit=-1",
        "?limit=1.5",
        "?limit=1e1",
        "?limit=010",
        "?limit=%D9%A1",
        "?limit=true",
        "?limit=1&limit=2",
        "?after=",
        "?after=%00",
        "?after=" + "a" * 2001,
        "?accuont=robustmodels",
        "?state",
    ],
)
def test_invalid_query_is_refused(query: str) -> None:
    with pytest.raises(InvalidRequest):
        read_page_query(URL + query)


@given(st.text())
def test_any_query_is_read_or_refused(query: str) -> None:
    try:
        read_page_query(f"{URL}?{query}")
    except InvalidRequest:
        return


# Ids


def test_id_is_a_fingerprint() -> None:
    assert read_id("ab" * 32) == "ab" * 32


@pytest.mark.parametrize("fingerprint", ["", "ab", "AB" * 32, "ab" * 33, "ab" * 32 + "\n", "../" * 20 + "abcd"])
def test_malformed_id_is_not_found(fingerprint: str) -> None:
    with pytest.raises(NoSuchRecord):
        read_id(fingerprint)
