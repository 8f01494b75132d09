"""What the files and events of tools say: each reader on the payloads that its tool writes."""

import json
from typing import Any

import pytest

from local.reporters.reports import PAYLOADS
from shared.api.intake.registry import TEXT_READERS
from shared.errors import InvalidRequest
from shared.sas import extract
from shared.sources import cloudevents, generic, gitleaks, sarif, trufflehog
from shared.sources.entries import Invalid, InvalidPayload, Skip, Skipped, Text
from shared.sources.scanner_place import Place
from tests.support import samples
from tests.support.entries import only, read

LEAK = samples.account_sas()
KEY = samples.KEYS["key1"]
READERS = {name: TEXT_READERS.get(name, generic.read) for name in PAYLOADS}


# All of them


@pytest.mark.parametrize("source", READERS)
def test_full_payload_of_the_tool_has_its_leak(source: str) -> None:
    entry = only(source, PAYLOADS[source](LEAK))

    assert extract(entry.text) == (samples.leak(LEAK),)
    assert entry.url is not None
    assert "README.md" in entry.url


@pytest.mark.parametrize("source", READERS)
def test_unknown_fields_are_ignored(source: str) -> None:
    payload = PAYLOADS[source](LEAK)
    item = payload[0] if isinstance(payload, list) else payload
    item["later"] = {"nested": [1, None, {"deep": True}]}

    assert extract(only(source, payload).text) == (samples.leak(LEAK),)


@pytest.mark.parametrize("source", READERS)
def test_repr_has_no_secret(source: str) -> None:
    assert "sig=" not in repr(only(source, PAYLOADS[source](LEAK)))


@pytest.mark.parametrize("source", READERS)
@pytest.mark.parametrize("body", [b"\xff", b"[" * 50_000])
def test_malformed_bytes_are_refused_or_invalid(source: str, body: bytes) -> None:
    try:
        entries = read(source, body)
    except (InvalidPayload, InvalidRequest):
        return
    assert all(isinstance(entry, Invalid) for entry in entries)


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        ("gitleaks", {}),
        ("gitleaks", 7),
        ("sarif", []),
        ("sarif", {"runs": {}}),
        ("wiz", []),
        ("wiz", {"findings": 1}),
        ("cloudevents", 7),
        ("cloudevents", "text"),
    ],
)
def test_payload_of_another_tool_is_refused(source: str, payload: object) -> None:
    with pytest.raises(InvalidPayload):
        read(source, payload)


# TruffleHog


def test_malformed_trufflehog_line_is_invalid_alone() -> None:
    line = json.dumps(PAYLOADS["trufflehog"](LEAK))
    entries = list(trufflehog.read(f"{line}\n\n{{not json\n7\n{line}\r\n".encode()))

    assert [type(entry) for entry in entries] == [Text, Invalid, Invalid, Text]


@pytest.mark.parametrize("is_array", [False, True])
def test_byte_order_mark_takes_no_trufflehog_result_away(*, is_array: bool) -> None:
    """PowerShell writes one into a file (about_Character_Encoding, `utf8BOM`)."""
    result = PAYLOADS["trufflehog"](LEAK)
    body = json.dumps([result] if is_array else result).encode("utf-8-sig")

    assert extract(only("trufflehog", body).text) == (samples.leak(LEAK),)


def test_array_of_trufflehog_results_is_read() -> None:
    assert len(read("trufflehog", [PAYLOADS["trufflehog"](LEAK)] * 3)) == 3


def test_only_a_line_feed_ends_a_trufflehog_line() -> None:
    """RFC 8259, 7: a string may hold U+2028 and U+0085 as they are."""
    line = json.dumps({"Raw": LEAK, "Note": "a\u2028b\x85c"}, ensure_ascii=False)

    assert [type(entry) for entry in read("trufflehog", f"{line}\r\n{line}".encode())] == [Text, Text]


def test_trufflehog_token_is_joined_with_its_url() -> None:
    url, _, token = LEAK.partition("?")

    assert only("trufflehog", {"Raw": url, "RawV2": f"{url}{token}"}).text == LEAK
    assert only("trufflehog", {"Raw": url, "RawV2": f"{url}?{token}"}).text == LEAK
    assert only("trufflehog", {"Raw": "x", "SecretParts": {"url": url, "key": token}}).text == LEAK


def test_trufflehog_storage_key_has_its_account() -> None:
    pair = json.dumps({"accountName": samples.ACCOUNT, "accountKey": KEY})
    [credential] = extract(only("trufflehog", {"Raw": KEY, "RawV2": pair}).text)

    assert (credential.account, credential.kind) == (samples.ACCOUNT, "account_key")


def test_redacted_trufflehog_result_is_masked() -> None:
    assert read("trufflehog", {"Raw": "", "Redacted": "https://x/****"}) == [Text("", masked=True)]


def test_legacy_trufflehog_result_has_the_texts_that_it_found() -> None:
    result = {"branch": "main", "diff": f"url = {LEAK}", "path": "a.py", "stringsFound": [LEAK, 7]}

    assert extract(only("trufflehog", result).text) == (samples.leak(LEAK),)


@pytest.mark.parametrize("name", ["contoso01", "Y29udG9zbzAx"])
def test_name_that_trufflehog_left_in_base64_is_decoded(name: str) -> None:
    both = json.dumps({"accountName": name, "accountKey": KEY})

    [credential] = extract(only("trufflehog", {"Raw": KEY, "RawV2": both}).text)

    assert credential.account == "contoso01"


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ({"Github": {"link": "https://github.com/x/y#L5", "line": 5}}, "https://github.com/x/y#L5"),
        ({"Git": {"repository": "https://x/y.git", "file": "a.py", "line": 7}}, "https://x/y.git/a.py:7"),
        (
            {
                "Git": {
                    "repository": "",
                    "repository_local_path": "/src/y",
                    "file": "a.py",
                    "line": 7,
                    "commit": "ab" * 20,
                }
            },
            f"/src/y/a.py:7@{'ab' * 6}",
        ),
        ({"Git": {"repository": "https://x/y.git", "file": "a.py"}}, "https://x/y.git/a.py"),
        ({"Git": {"repository": "https://x/y.git", "line": 7}}, "https://x/y.git:7"),
        ({"Filesystem": {"file": "/src/a.py", "line": 7}}, "/src/a.py:7"),
        ({"Docker": {"image": "x:latest"}}, "x:latest"),
        ({"Odd": 7}, None),
        ({"Odd": {"line": 7}}, None),
        ({}, None),
    ],
)
def test_trufflehog_result_has_its_location(place: dict[str, Any], url: str | None) -> None:
    assert only("trufflehog", {"Raw": LEAK, "SourceMetadata": {"Data": place}}).url == url


# Gitleaks


def test_gitleaks_match_is_used_if_it_contains_the_secret() -> None:
    assert only("gitleaks", [{"Match": f"url={LEAK}", "Secret": LEAK}]).text == f"url={LEAK}"
    assert only("gitleaks", [{"Match": "cut off", "Secret": LEAK}]).text == f"cut off\n{LEAK}"
    assert only("gitleaks", [{"Match": LEAK}]).text == LEAK


def test_redacted_gitleaks_finding_is_masked() -> None:
    finding = {"Match": "url=REDACTED", "Secret": "REDACTED", "File": "a.py", "StartLine": 3}

    assert read("gitleaks", [finding]) == [Text("", "a.py:3", place=Place("a.py", 3, 3), masked=True)]


def test_gitleaks_finding_has_its_location() -> None:
    assert only("gitleaks", [{"Secret": LEAK, "File": "a.py", "StartLine": 3}]).url == "a.py:3"
    assert only("gitleaks", [{"Secret": LEAK, "File": "a.py"}]).url == "a.py"
    assert only("gitleaks", [{"Secret": LEAK, "Link": "https://x", "File": "a.py"}]).url == "https://x"


def test_gitleaks_report_without_findings_is_empty() -> None:
    assert read("gitleaks", []) == []
    assert read("gitleaks", None) == []


# SARIF


def run(*results: object, **more: object) -> dict[str, Any]:
    return {"version": "2.1.0", "runs": [{"results": list(results)} | more]}


def place(**region: object) -> dict[str, Any]:
    return {"physicalLocation": {"artifactLocation": {"uri": "a.py"}} | region}


def test_wider_sarif_snippet_comes_first() -> None:
    region, context = {"snippet": {"text": "?sig=x"}}, {"snippet": {"text": LEAK}}
    result = {"locations": [place(region=region, contextRegion=context)], "message": {"text": "Found."}}

    assert only("sarif", run(result)).text == f"{LEAK}\n?sig=x\nFound."


def test_sarif_message_is_read() -> None:
    assert only("sarif", run({"message": {"markdown": LEAK}})).text == LEAK


def test_sarif_result_without_text_is_invalid() -> None:
    assert isinstance(read("sarif", run({"locations": [place()]}))[0], Invalid)


def test_malformed_sarif_run_is_invalid_alone() -> None:
    log = {"runs": [7, {"results": [7, {"message": {"text": LEAK}}]}]}

    assert [type(entry) for entry in read("sarif", log)] == [Invalid, Invalid, Text]


@pytest.mark.parametrize(
    ("uri", "line", "repository", "url"),
    [
        ("a.py", 5, "https://github.com/x/y/", "https://github.com/x/y/a.py:5"),
        ("a.py", None, None, "a.py"),
        ("https://x/a.py", 5, "https://github.com/x/y", "https://x/a.py:5"),
    ],
)
def test_sarif_result_has_its_location(uri: str, line: int | None, repository: str | None, url: str) -> None:
    region = {"snippet": {"text": LEAK}} | ({"startLine": line} if line else {})
    result = {"locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}]}
    control = [{"repositoryUri": repository}] if repository else [7]

    assert only("sarif", run(result, versionControlProvenance=control)).url == url


def test_sarif_result_without_location_has_its_repository() -> None:
    control = [{"repositoryUri": "https://github.com/x/y"}]

    assert (
        only("sarif", run({"message": {"text": LEAK}}, versionControlProvenance=control)).url
        == control[0]["repositoryUri"]
    )


# CloudEvents


def event(**changed: object) -> dict[str, Any]:
    return PAYLOADS["cloudevents"](LEAK) | changed  # type: ignore[no-any-return]


def test_batch_of_events_has_one_entry_for_each() -> None:
    assert [type(entry) for entry in read("cloudevents", [event(), 7, event(data=7)])] == [Text, Invalid, Invalid]


def test_own_event_about_a_revocation_is_ignored() -> None:
    assert read("cloudevents", event(type="Sasquash.Revocation.Proven.v1")) == [Skipped(Skip.OTHER_EVENT)]


def test_event_without_a_secret_is_invalid() -> None:
    [entry] = read("cloudevents", event(data=samples.finding().to_data()))

    assert isinstance(entry, Invalid)
    assert "on the Event Grid topic" in entry.why


@pytest.mark.parametrize("missing", ["id", "type"])
def test_event_without_required_attributes_is_invalid(missing: str) -> None:
    cut = {name: value for name, value in event().items() if name != missing}

    assert isinstance(read("cloudevents", cut)[0], Invalid)


# The generic form


def test_generic_finding_has_location_and_time() -> None:
    finding = {"text": LEAK, "url": "https://x", "detected_at": "2026-11-20"}

    assert only("wiz", {"findings": [finding]}) == Text(LEAK, "https://x", "2026-11-20")


@pytest.mark.parametrize("text", [None, "", 7, [LEAK]])
def test_generic_finding_without_text_is_invalid(text: object) -> None:
    assert isinstance(read("wiz", {"findings": [{"text": text}]})[0], Invalid)


def test_text_readers_make_no_requests() -> None:
    """A module that reads hostile files has no way out of the process."""
    for module in (trufflehog, gitleaks, sarif, generic, cloudevents):
        assert not {"httpx", "aiohttp", "rest", "Rest"} & set(vars(module))
