"""Other readings of a secret: what a report may say about them, and what is kept. Reports are hostile."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import readings
from shared.domain import report as findings
from shared.domain.finding import Finding, merged
from shared.domain.readings import LARGEST, MOST
from shared.domain.report import REPORTED, Report
from shared.errors import MalformedEvent
from shared.sas import Credential, signed_parts
from tests.support import samples
from tests.support.samples import NOW, leak

CREDENTIAL = leak(samples.blob_sas())
SIGNATURE = samples.blob_sas().partition("sig=")[2].split("&")[0]


def at(*paths: str | None, of: Credential = CREDENTIAL) -> list[Credential]:
    return [replace(of, path=path) for path in paths]


def paths(finding: Finding) -> list[str | None]:
    return [one.path for one in finding.readings]


def read(candidates: object, *, of: Credential = CREDENTIAL) -> Finding:
    data = {"credential": of.to_json(), "candidates": candidates}
    [reported] = findings.read(Report("1", REPORTED, "/scanner", data), raw_allowed=False, now=NOW)
    return reported.finding


# the wire form


def test_candidates_are_read_in_their_order() -> None:
    finding = read([{"path": "models/a"}, {"path": None}, {"path": "models/b"}])

    assert (paths(finding), finding.unread) == ([CREDENTIAL.path, "models/a", None, "models/b"], 0)


def test_finding_with_candidates_can_be_published_and_read_again() -> None:
    finding = samples.finding(samples.blob_sas()).with_readings(at("models/a", "models/b"))
    data = json.loads(json.dumps(finding.to_data()))
    [reported] = findings.read(Report("1", REPORTED, "/scanner", data), raw_allowed=False, now=NOW)

    assert reported.finding == finding


def test_published_candidate_leaves_out_what_the_credential_says() -> None:
    assert samples.finding(samples.blob_sas()).with_readings(at("models/a")).to_data()["candidates"] == [
        {"path": "models/a"}
    ]


def test_candidate_with_another_host_is_carried_and_not_tried() -> None:
    elsewhere = {"path": "a", "host": "other.blob.core.windows.net"}
    finding = read([elsewhere])

    assert (len(finding.candidates), paths(finding)) == (1, [CREDENTIAL.path])
    assert finding.to_data()["candidates"] == [elsewhere]


def test_candidate_with_other_parameters_is_tried() -> None:
    parameters = dict(CREDENTIAL.parameters) | {"sp": "rw"}
    finding = read([{"path": "a", "parameters": parameters}])

    assert [dict(one.parameters) for one in finding.readings] == [dict(CREDENTIAL.parameters), parameters]


@pytest.mark.parametrize(
    "candidate",
    [
        None,
        7,
        "models/a",
        ["models/a"],
        {},
        {"host": "other.blob.core.windows.net"},
        {"path": 7},
        {"path": ""},
        {"path": "a\nb"},
        {"path": "a\u2028b"},
        {"path": "\ud800"},
        {"path": "x" * 4097},
        {"path": "a", "host": "HOST.example"},
        {"path": "a", "parameters": {"sig": SIGNATURE}},
        {"path": "a", "parameters": {"sr": "b"}},
        {"path": "a", "parameters": {"ss": "b", "srt": "o", "sv": "2021-12-02", "sp": "r"}},
        {"path": "a", "kind": "account_key"},
        {"path": "a", "signature_sha256": "0" * 64},
        {"path": f"models/x?sig={SIGNATURE}"},
        {"path": samples.KEYS["key1"]},
    ],
    ids=lambda candidate: str(candidate)[:40].encode("ascii", "replace").decode(),
)
def test_candidate_that_is_none_is_left_out_and_counted_and_the_finding_counts(candidate: object) -> None:
    finding = read([candidate, {"path": "models/good"}])

    assert (paths(finding), finding.unread) == ([CREDENTIAL.path, "models/good"], 1)


@pytest.mark.parametrize("candidates", [None, 7, "x", {}, {"path": 3}])
def test_candidates_that_are_no_list_are_counted_as_one(candidates: object) -> None:
    finding = read(candidates)

    assert (finding.candidates, finding.unread) == ((), 1)


def test_account_key_has_no_reading_with_another_path() -> None:
    finding = read([{"path": "a"}], of=leak(samples.connection_string()))

    assert (finding.candidates, finding.unread) == ((), 1)


def test_account_key_has_a_reading_for_another_account() -> None:
    other = {"path": None, "host": "other.blob.core.windows.net"}
    finding = read([other], of=leak(samples.connection_string()))

    assert [one.host for one in finding.everywhere] == ["robustmodels.blob.core.windows.net", other["host"]]


def test_other_accounts_that_a_text_names_are_candidates_of_a_key() -> None:
    text = f"LOGS=https://other.blob.core.windows.net/logs\nSTORAGE_ACCOUNT=mine\nSTORAGE_KEY={samples.KEYS['key1']}"
    [reported] = findings.in_text(text, source="a scanner", url=None, detected_at=NOW)

    assert (reported.finding.credential or CREDENTIAL).account == "mine"
    assert [one.host for one in reported.finding.candidates] == ["other.blob.core.windows.net"]


def test_more_candidates_than_a_finding_carries_are_counted() -> None:
    finding = read([{"path": f"models/{number}"} for number in range(MOST + 5)])

    assert (len(finding.candidates), finding.unread) == (MOST, 5)


def test_candidates_are_32_kib_together_at_the_most() -> None:
    finding = read([{"path": f"models/{number}".ljust(4000, "x")} for number in range(20)])

    assert (len(finding.candidates), finding.unread) == (8, 12)


def test_secret_in_the_credential_s_own_path_refuses_the_finding_as_before() -> None:
    with pytest.raises(MalformedEvent, match="treat it as exposed"):
        read([], of=replace(CREDENTIAL, path=f"x?sig={SIGNATURE}"))


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["host", "path", "parameters", "kind", "x"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(json_values)
def test_no_candidates_make_a_finding_unreadable(candidates: object) -> None:
    finding = read(candidates)

    assert finding.credential == CREDENTIAL
    assert len(finding.candidates) <= MOST
    assert all(one.fingerprint == CREDENTIAL.fingerprint for one in finding.readings)
    assert len(json.dumps(finding.to_data(), ensure_ascii=False).encode(errors="replace")) < LARGEST + 4000


# merged


def test_readings_of_one_token_in_one_report_are_one_finding() -> None:
    reported = [replace(samples.finding(), credential=one, fingerprint=one.fingerprint) for one in at("a/b", "c/d")]

    [finding] = merged(reported)

    assert paths(finding) == ["a/b", "c/d"]


def test_readings_that_are_verified_alike_are_one() -> None:
    container = leak(samples.policy_sas())
    [finding] = merged(
        replace(samples.finding(), credential=one, fingerprint=one.fingerprint)
        for one in at("models/a", "models/b/c", "models", of=container)
    )

    assert paths(finding) == ["models/a"]


def test_findings_of_other_secrets_stay_as_they_are_in_their_order() -> None:
    several = [samples.finding(), samples.finding(samples.blob_sas()), samples.finding(samples.connection_string())]

    assert merged(several) == tuple(several)


def test_report_has_as_many_findings_as_it_takes_to_carry_all_readings() -> None:
    wanted = [f"models/{number}" for number in range(150)]
    parts = merged(replace(samples.finding(), credential=one, fingerprint=one.fingerprint) for one in at(*wanted))

    assert len(parts) == 3
    assert [path for part in parts for path in paths(part)] == wanted


def test_reading_that_holds_a_secret_is_not_published() -> None:
    several = at("a/b", f"x?sig={SIGNATURE}", "c/d")
    [finding] = merged(replace(samples.finding(), credential=one, fingerprint=one.fingerprint) for one in several)

    assert SIGNATURE not in json.dumps(finding.to_data())
    assert paths(finding) == ["a/b", "c/d"]


@given(st.lists(st.text(min_size=1, max_size=12), max_size=8))
def test_distinct_keeps_the_first_of_what_is_verified_alike(wanted: list[str]) -> None:
    credentials = [replace(CREDENTIAL, path=path) for path in wanted if path.isprintable()]
    kept = readings.distinct(credentials)

    addresses = [signed_parts(one) for one in kept]
    assert addresses == list(dict.fromkeys(signed_parts(one) for one in credentials))
