"""What a reporter may say, and what is kept of it. Reports are hostile."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import report as findings
from shared.domain import unread_place
from shared.domain.finding import Finding
from shared.domain.report import REPORTED, Report
from shared.domain.target import ActionKind
from shared.domain.unread_place import UnreadPlace
from shared.errors import MalformedEvent
from tests.support import other_services, samples
from tests.support.samples import KEYS, NOW, leak

CREDENTIAL = leak(samples.account_sas())
WIRE: dict[str, Any] = CREDENTIAL.to_json()
SIGNATURE = samples.account_sas().partition("sig=")[2].split("&")[0]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def report(data: object, *, event_type: str = REPORTED, source: str = "/scanner", event_id: str = "1") -> Report:
    return Report(event_id, event_type, source, data)


def read(data: object, *, raw_allowed: bool = False) -> tuple[Finding, ...]:
    return tuple(r.finding for r in findings.read(report(data), raw_allowed=raw_allowed, now=NOW))


def credential(**changed: object) -> dict[str, object]:
    return {"credential": WIRE | changed}


GUID = "f36c87e7-fca8-412c-8f70-575907292a83"


@pytest.mark.parametrize("finding", [samples.finding(), samples.alerted()], ids=["leak", "evidence"])
def test_caller_of_the_intake_travels_with_the_finding(finding: Finding) -> None:
    [found] = read(json.loads(json.dumps(replace(finding, submitted_by=GUID).to_data())))

    assert found.submitted_by == GUID


@pytest.mark.parametrize(
    ("claim", "kept"),
    [(GUID.upper(), GUID), ("eve", None), (f"{GUID}\n", None), (7, None), ([GUID], None), (None, None)],
)
def test_what_names_no_caller_is_left_out_and_the_finding_counts(claim: object, kept: str | None) -> None:
    [found] = read(samples.finding().to_data() | {"submitted_by": claim})

    assert (found.submitted_by, found.fingerprint) == (kept, samples.finding().fingerprint)


BARE = replace(samples.finding(), credential=leak(KEYS["key1"]), fingerprint=leak(KEYS["key1"]).fingerprint)


def test_why_the_text_around_a_leak_was_not_read_travels_with_it() -> None:
    places = (UnreadPlace.REFUSED, UnreadPlace.WIKI)
    [found] = read(json.loads(json.dumps(replace(BARE, unread_places=places).to_data())))

    assert found == replace(BARE, unread_places=places)


@pytest.mark.parametrize(
    ("claim", "kept"),
    [
        (["wiki", "wiki", "evil", 7, None, ["wiki"], {}], (UnreadPlace.WIKI,)),
        (["<b>", "WIKI"], ()),
        ("wiki", ()),
        ({"wiki": 1}, ()),
        (None, ()),
        (7, ()),
        (["wiki"] * 100_000, (UnreadPlace.WIKI,)),
    ],
)
def test_places_in_other_words_are_left_out_and_the_finding_counts(
    claim: object, kept: tuple[UnreadPlace, ...]
) -> None:
    [found] = read(BARE.to_data() | {"unread_places": claim})

    assert (found.unread_places, found.fingerprint) == (kept, BARE.fingerprint)


def test_leak_whose_account_is_known_has_no_unread_places() -> None:
    [found] = read(samples.finding().to_data() | {"unread_places": ["wiki"]})

    assert found.unread_places == ()


@pytest.mark.parametrize("place", UnreadPlace)
def test_each_unread_place_is_a_sentence(place: UnreadPlace) -> None:
    said = unread_place.said((place,))

    assert said.startswith(" A place where it was found could not be read, and may name the account: ")
    assert said.endswith(".")


def test_two_reasons_are_one_sentence() -> None:
    said = unread_place.said((UnreadPlace.MISSING, UnreadPlace.TOO_LARGE))

    assert said.endswith("name the account: it is deleted, or hidden from the app; it is too large.")


def test_raw_report_has_its_caller_too() -> None:
    found = read({"secret": samples.account_sas(), "submitted_by": GUID}, raw_allowed=True)

    assert [each.submitted_by for each in found] == [GUID]


# Secret-free findings


def test_a_finding_says_what_leaked_where_and_when() -> None:
    [found] = read(
        {
            "credential": WIRE,
            "source": "github",
            "url": "https://github.com/contoso/x",
            "detected_at": "2026-11-21T09:00:00Z",
        }
    )

    assert found == Finding(
        CREDENTIAL.fingerprint, CREDENTIAL, "github", "https://github.com/contoso/x", NOW - timedelta(hours=1)
    )


def test_what_is_published_can_be_read_again() -> None:
    found = samples.finding()

    assert read(json.loads(json.dumps(found.to_data()))) == (found,)


def test_an_unreadable_report_cannot_be_published() -> None:
    with pytest.raises(ValueError, match="neither an unreadable report nor"):
        findings.unreadable(report({}), now=NOW).to_data()


def test_a_report_that_does_not_describe_itself_is_as_good() -> None:
    [found] = read({"credential": WIRE})

    assert (found.source, found.url, found.detected_at) == ("/scanner", None, NOW)


@pytest.mark.parametrize(
    ("field", "data"),
    [
        ("data.credential", {}),
        ("data.credential", {"credential": None}),
        ("data.credential", {"credential": [WIRE]}),
        ("data.credential", credential(sig="x")),
        ("kind", credential(kind="password")),
        ("kind", credential(kind="service_sas")),
        ("kind", credential(kind=7)),
        ("host", credential(host="HOST.example")),
        ("host", credential(host="evil.example' or 1 == 1")),
        ("host", credential(host="evil.example\n")),
        ("path", credential(path="")),
        ("path", credential(path="a\nb")),
        ("parameters", credential(parameters={"sig": "x"})),
        ("parameters", credential(parameters={"sv": 1})),
        ("parameters", credential(parameters="sv=1")),
        ("signature_sha256", credential(signature_sha256=SIGNATURE)),
        ("signature_sha256", credential(signature_sha256="A" * 64)),
        ("signature_sha256", credential(signature_sha256=None)),
        ("signature_sha256", credential(key_sha256="0" * 64)),
    ],
)
def test_a_credential_that_is_none_is_refused_by_field(field: str, data: dict[str, object]) -> None:
    with pytest.raises(MalformedEvent, match=field):
        read(data)


@pytest.mark.parametrize("data", [None, [], "text", 7, b"bytes"])
def test_data_that_is_no_object_is_refused(data: object) -> None:
    with pytest.raises(MalformedEvent, match="data is not an object"):
        read(data)


@pytest.mark.parametrize("event_type", ["", "Sasquash.Revocation.Proven.v1", REPORTED.lower(), f"{REPORTED} "])
def test_another_type_of_event_is_refused(event_type: str) -> None:
    with pytest.raises(MalformedEvent, match="type"):
        findings.read(report({"credential": WIRE}, event_type=event_type), raw_allowed=True, now=NOW)


@given(st.text(min_size=3).filter(lambda text: not text.isspace()))
def test_a_refusal_repeats_nothing_of_the_data(text: str) -> None:
    marked = f"marked{text}marked"
    with pytest.raises(MalformedEvent) as refused:
        read({"credential": {"kind": marked, "host": marked, "signature_sha256": marked}})

    assert marked not in str(refused.value)
    assert refused.value.__cause__ is None


@given(st.dictionaries(st.sampled_from(["credential", "secret", "source", "url", "detected_at"]), json_values))
def test_no_report_is_answered_with_anything_but_findings_or_a_refusal(data: Mapping[str, object]) -> None:
    try:
        found = read(data, raw_allowed=True)
    except MalformedEvent:
        return
    assert all(isinstance(each, Finding) for each in found)


# Raw reports


def raw(secret: object) -> dict[str, object]:
    return {"secret": secret, "source": "github"}


def test_a_raw_report_is_refused_where_the_settings_forbid_it() -> None:
    with pytest.raises(MalformedEvent, match="SASQUASH_RAW_EVENTS"):
        read(raw(samples.account_sas()))


def test_a_raw_report_beside_a_credential_is_refused_too() -> None:
    with pytest.raises(MalformedEvent, match="SASQUASH_RAW_EVENTS"):
        read({"credential": WIRE, "secret": samples.account_sas()})


def test_a_raw_report_is_one_finding_for_each_credential_in_it() -> None:
    text = f"url = '{samples.account_sas()}'\nother = '{samples.connection_string()}'\n"

    found = read(raw(text), raw_allowed=True)

    assert {each.fingerprint for each in found} == {
        CREDENTIAL.fingerprint,
        leak(samples.connection_string()).fingerprint,
    }


def test_a_raw_report_of_nothing_is_no_finding() -> None:
    assert read(raw("hello"), raw_allowed=True) == ()


def test_raw_and_secret_free_reports_of_one_leak_are_one_finding() -> None:
    [one], [other] = read(raw(samples.account_sas()), raw_allowed=True), read({"credential": WIRE})

    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize("secret", [None, 7, {"sig": "x"}, "x" * (1024 * 1024 + 1)])
def test_a_raw_report_that_is_no_text_of_a_bearable_length_is_refused(secret: object) -> None:
    with pytest.raises(MalformedEvent, match=r"data\.secret"):
        read(raw(secret), raw_allowed=True)


def test_a_raw_report_of_the_longest_length_is_read() -> None:
    text = samples.account_sas()

    assert len(read(raw(text + " " * (1024 * 1024 - len(text))), raw_allowed=True)) == 1


@pytest.mark.parametrize("text", [samples.account_sas(), samples.connection_string(), samples.blob_sas()])
def test_nothing_usable_is_left_of_a_raw_report(text: str) -> None:
    found = findings.in_text(text, source=text, url=text, detected_at=NOW)
    kept = repr(found) + json.dumps([each.finding.to_data() for each in found])

    secrets = [text.partition("sig=")[2].split("&")[0], *KEYS.values()]
    assert not any(secret.rstrip("=") in kept for secret in secrets if secret)


# What describes a report


@pytest.mark.parametrize("source", [7, None, "", "\x00\x1b", ["github"]])
def test_a_source_that_says_nothing_gives_way_to_the_event_s(source: object) -> None:
    assert read({"credential": WIRE, "source": source})[0].source == "/scanner"


def test_a_report_without_any_source_is_of_an_unknown_one() -> None:
    nameless = report({"credential": WIRE}, source="\n")

    assert findings.read(nameless, raw_allowed=False, now=NOW)[0].finding.source == "unknown"


def test_descriptions_are_cut_and_lose_what_is_not_printable() -> None:
    [found] = read({"credential": WIRE, "source": "git\r\nhub\u202e" * 100, "url": "https://x/" + "y" * 9000})

    assert found.source == ("github" * 100)[:200]
    assert found.url is not None
    assert len(found.url) == 2048


@pytest.mark.parametrize("field", ["source", "url"])
@pytest.mark.parametrize("text", [samples.account_sas(), samples.connection_string(), f"see {KEYS['key1']}"])
def test_a_description_that_holds_the_leak_is_redacted(field: str, text: str) -> None:
    [found] = read({"credential": WIRE, field: text})

    assert SIGNATURE not in repr(found)
    assert not any(key.rstrip("=") in repr(found) for key in KEYS.values())


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-21T09:30:00Z", datetime(2026, 11, 21, 9, 30, tzinfo=UTC)),
        ("2026-11-21T10:30:00+01:00", datetime(2026, 11, 21, 9, 30, tzinfo=UTC)),
        ("2026-11-21T09:30:00", datetime(2026, 11, 21, 9, 30, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
    ],
)
def test_time_of_detection_is_in_utc(text: str, moment: datetime) -> None:
    [found] = read({"credential": WIRE, "detected_at": text})

    assert (found.detected_at, found.detected_at.tzinfo) == (moment, UTC)


@pytest.mark.parametrize(
    "moment", ["", "yesterday", "2026-13-01", 7, None, [], "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_a_moment_that_makes_no_sense_is_now(moment: object) -> None:
    assert read({"credential": WIRE, "detected_at": moment})[0].detected_at == NOW


def test_nothing_was_detected_in_the_future() -> None:
    [found] = read({"credential": WIRE, "detected_at": "2099-01-01T00:00:00Z"})

    assert found.detected_at == NOW


def test_now_can_be_in_any_time_zone() -> None:
    here = NOW.astimezone(timezone(timedelta(hours=9)))
    [reported] = findings.read(report({"credential": WIRE}), raw_allowed=False, now=here)
    found = reported.finding

    assert (found.detected_at, found.detected_at.tzinfo) == (NOW, UTC)


# Credentials of other services


def test_credential_of_another_service_is_a_finding_beside_those_of_storage() -> None:
    text = f"{samples.account_sas()} {other_services.COSMOS}"

    found = findings.in_text(text, source="github", url="https://github.com/x", detected_at=NOW)

    assert [(each.finding.credential, each.finding.other) for each in found] == [
        (CREDENTIAL, None),
        (None, other_services.COSMOS_KEY),
    ]


def test_finding_of_another_service_can_be_read_again() -> None:
    [reported] = findings.in_text(other_services.COSMOS, source="github", url=None, detected_at=NOW)

    assert read(json.loads(json.dumps(reported.finding.to_data()))) == (reported.finding,)


def test_raw_report_has_the_credentials_of_other_services() -> None:
    [found] = read({"secret": other_services.COSMOS, "submitted_by": GUID}, raw_allowed=True)

    assert (found.other, found.fingerprint, found.submitted_by) == (
        other_services.COSMOS_KEY,
        other_services.COSMOS_KEY.fingerprint,
        GUID,
    )


def test_malformed_credential_of_another_service_is_refused() -> None:
    with pytest.raises(MalformedEvent, match=r"data\.other_service"):
        read({"other_service": {"service": "smtp"}})


# Reports that can't be read


def test_an_unreadable_report_stands_for_itself_and_keeps_nothing_of_its_data() -> None:
    stands = findings.unreadable(report({"secret": samples.account_sas()}), now=NOW)

    assert stands == Finding(stands.fingerprint, None, "/scanner", None, NOW)


def test_an_unreadable_report_is_the_same_when_it_comes_again() -> None:
    once, again = (findings.unreadable(report(data), now=NOW) for data in ({"source": "a"}, "text"))

    assert once.fingerprint == again.fingerprint


@pytest.mark.parametrize("other", [report({}, event_id="2"), report({}, source="/other")])
def test_two_unreadable_reports_are_two(other: Report) -> None:
    known = findings.unreadable(report({}), now=NOW)

    assert findings.unreadable(other, now=NOW).fingerprint != known.fingerprint


def test_an_unreadable_report_passes_for_no_leak() -> None:
    fingerprint = findings.unreadable(report({}, event_id=CREDENTIAL.fingerprint), now=NOW).fingerprint

    assert fingerprint != CREDENTIAL.fingerprint
    assert len(fingerprint) == 64


@pytest.mark.parametrize("field", ["event_id", "source"])
def test_an_unreadable_report_stands_for_itself_whatever_its_envelope_holds(field: str) -> None:
    stands = findings.unreadable(report({}, **{field: "\ud800"}), now=NOW)

    assert json.dumps(stands.source).isascii()
    assert len(stands.fingerprint) == 64


@pytest.mark.parametrize(
    "changed",
    [
        {"path": f"web/model.ckpt?sv=2022-11-02&sig={SIGNATURE}"},
        {"parameters": WIRE["parameters"] | {"sip": KEYS["key1"]}},
        {"parameters": WIRE["parameters"] | {"st": unquote(SIGNATURE)}},
        {"parameters": WIRE["parameters"] | {"rscd": f"https://a.blob.core.windows.net/?sig={SIGNATURE}"}},
    ],
    ids=["path", "key", "signature", "url"],
)
def test_a_finding_that_is_not_free_of_secrets_is_refused_without_repeating_them(changed: dict[str, object]) -> None:
    with pytest.raises(MalformedEvent) as refused:
        read(credential(**changed))

    assert SIGNATURE not in str(refused.value)
    assert KEYS["key1"] not in str(refused.value)


# What an alert says


def test_evidence_goes_its_way_and_comes_back_as_it_was() -> None:
    [reported] = read(samples.alerted().to_data())

    assert reported == samples.alerted()


def test_finding_keeps_its_alert() -> None:
    found = replace(samples.finding(), alert=samples.ALERT)

    assert read(found.to_data()) == (found,)


@pytest.mark.parametrize("alert", [None, 7, {}, {"source": "github", "place": "../..", "alert": "1"}])
def test_a_leak_is_not_spared_because_its_alert_can_not_be_closed(alert: object) -> None:
    [found] = read(samples.finding().to_data() | {"alert": alert})

    assert found == samples.finding()


@pytest.mark.parametrize("evidence", [None, 7, {}, samples.evidence().to_json() | {"key": "kerb1"}])
def test_malformed_evidence_is_rejected_without_repeating_it(evidence: object) -> None:
    with pytest.raises(MalformedEvent, match=r"data\.evidence is not valid"):
        read(samples.alerted().to_data() | {"evidence": evidence})


def test_a_persons_order_is_not_published() -> None:
    with pytest.raises(ValueError, match="person's order"):
        samples.ordered(ActionKind.ACCOUNT_KEY, "key1").to_data()
