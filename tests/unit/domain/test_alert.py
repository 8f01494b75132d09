from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.alert import AlertEvidence, AlertReference, AlertSource, InvalidAlert, cleaned, moment_in
from tests.support import samples

GUIDS = "0d8e2a50-4a59-4f0e-8a4b-2f4d3f6f7a10/a3f1c9d4-57b2-4f7e-9f31-6f3d2f0b8c55"
AT = datetime(2026, 11, 20, 10, tzinfo=UTC)
EVIDENCE = AlertEvidence(
    account="robustmodels",
    key="key2",
    title="Unusual SAS",
    seen_at=AT,
    signature_sha256="ab" * 32,
    permissions=("Read", "Write"),
    services=("Blob",),
    resource_types=("Object",),
    addresses="Allows all IP addresses",
    expires=AT,
)


@pytest.mark.parametrize(
    ("source", "place", "alert", "words"),
    [
        ("github", "contoso/robust-models", "42", "GitHub alert 42 of contoso/robust-models"),
        ("github", "a/.github", "1", "GitHub alert 1 of a/.github"),
        ("azure-devops", f"contoso/{GUIDS}", "7", f"Azure DevOps alert 7 of contoso/{GUIDS}"),
        ("azure-devops", "contoso/Web Shop/R&D", "7", "Azure DevOps alert 7 of contoso/Web Shop/R&D"),
        ("defender", "", "dc_1-2", "Defender alert dc_1-2"),
    ],
)
def test_a_reference_is_the_same_after_its_way_through_an_event(
    source: str, place: str, alert: str, words: str
) -> None:
    reference = AlertReference(AlertSource(source), place, alert)

    assert AlertReference.from_json(reference.to_json()) == reference
    assert str(reference) == words


@pytest.mark.parametrize(
    ("source", "place", "alert"),
    [
        ("github", "contoso", "42"),
        ("github", "contoso/x/y", "42"),
        ("github", "contoso/..", "42"),
        ("github", "contoso/.", "42"),
        ("github", "contoso/x\n", "42"),
        ("github", "contoso/x?y=1", "42"),
        ("github", "contoso/x%2f..", "42"),
        ("github", "-x/y", "42"),
        ("github", "contoso/x", "042"),
        ("github", "contoso/x", "4.2"),
        ("github", "contoso/x", "42/../7"),
        ("github", "contoso/x", "٤٢"),
        ("azure-devops", "contoso/shop", "42"),
        ("azure-devops", "contoso/shop/web/more", "42"),
        ("azure-devops", "contoso/../web", "42"),
        ("azure-devops", "contoso/shop/_apis", "42"),
        ("azure-devops", "contoso/shop/web.", "42"),
        ("azure-devops", "contoso/shop/a%2fb", "42"),
        ("azure-devops", "contoso/shop/a?b", "42"),
        ("azure-devops", "contoso/shop/`id`", "42"),
        ("azure-devops", "contoso/shop/a\\b", "42"),
        ("azure-devops", "contoso/shop/a\nb", "42"),
        ("azure-devops", "contoso/shop/a\u202eb", "42"),
        ("azure-devops", f"contoso/shop/{'x' * 65}", "42"),
        ("defender", "x", "dc1"),
        ("defender", "", "dc1/comments"),
        ("defender", "", ""),
    ],
)
def test_what_would_be_another_path_is_no_reference(source: str, place: str, alert: str) -> None:
    with pytest.raises(InvalidAlert):
        AlertReference(AlertSource(source), place, alert)


@pytest.mark.parametrize(
    "data",
    [
        None,
        7,
        "x",
        {},
        {"source": "github"},
        {"source": "gitlab", "place": "a/b", "alert": "1"},
        {"source": "github", "place": 7, "alert": "1"},
        {"source": ["github"], "place": "a/b", "alert": "1"},
        {"source": "github", "place": "a/b", "alert": "1", "more": 1},
    ],
)
def test_a_reference_in_another_form_is_none(data: object) -> None:
    with pytest.raises(InvalidAlert):
        AlertReference.from_json(data)


def test_evidence_is_the_same_after_its_way_through_an_event() -> None:
    assert AlertEvidence.from_json(EVIDENCE.to_json()) == EVIDENCE


def test_evidence_may_say_no_more_than_the_key() -> None:
    least = {"account": "robustmodels", "key": "key1", "title": "x", "seen_at": "2026-11-20T10:00:00"}

    assert AlertEvidence.from_json(least).seen_at == AT


@pytest.mark.parametrize(
    "changed",
    [
        {"account": "Robust-Models"},
        {"account": None},
        {"key": "kerb1"},
        {"seen_at": None},
        {"seen_at": "yesterday"},
        {"seen_at": 7},
        {"signature_sha256": "AB" * 32},
        {"permissions": "Read"},
        {"permissions": ["Read", 7]},
        {"permissions": ["x"] * 21},
        {"title": "two\nlines"},
        {"title": "x" * 201},
        {"title": samples.account_sas()},
        {"addresses": "\u202e"},
        {"expires": "never"},
        {"more": 1},
    ],
)
def test_evidence_with_a_field_out_of_form_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(InvalidAlert):
        AlertEvidence.from_json(EVIDENCE.to_json() | changed)


@pytest.mark.parametrize("data", [None, 7, [], "x"])
def test_evidence_is_an_object(data: object) -> None:
    with pytest.raises(InvalidAlert):
        AlertEvidence.from_json(data)


def test_the_identity_is_that_of_the_token_where_the_alert_says_which() -> None:
    later = AlertEvidence.from_json(EVIDENCE.to_json() | {"seen_at": "2026-11-25T10:00:00Z", "title": "Other"})
    other = AlertEvidence.from_json(EVIDENCE.to_json() | {"signature_sha256": "cd" * 32})

    assert EVIDENCE.fingerprint == later.fingerprint != other.fingerprint


def test_without_a_hash_a_days_alerts_of_one_kind_are_one() -> None:
    def without_hash(seen_at: str) -> str:
        data = EVIDENCE.to_json() | {"signature_sha256": None, "seen_at": seen_at}
        return AlertEvidence.from_json(data).fingerprint

    assert without_hash("2026-11-20T10:00:00Z") == without_hash("2026-11-20T23:00:00Z")
    assert without_hash("2026-11-20T10:00:00Z") != without_hash("2026-11-21T10:00:00Z")


@given(st.text(max_size=500))
def test_a_cleaned_text_may_stand_in_evidence(text: str) -> None:
    assert cleaned(cleaned(text)) == cleaned(text)
    AlertEvidence(account="robustmodels", key="key1", title=cleaned(text), seen_at=AT)


@pytest.mark.parametrize("text", [None, "", "now", "0001-01-01T00:00:00+23:59", "2026-13-01"])
def test_a_text_that_is_no_time_is_none(text: str | None) -> None:
    assert moment_in(text) is None
