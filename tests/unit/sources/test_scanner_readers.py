"""Readers of scanners' reports: malformed ones, masked values, and text wherever a format lets tools put it."""

import base64
import json
from typing import Any

import pytest

from shared.errors import InvalidRequest
from shared.sas import extract
from shared.sources.entries import Invalid, InvalidPayload, Text
from shared.sources.parsing import Result, items_of
from shared.sources.scanner_place import Around, Place
from tests.support import samples
from tests.support.entries import only, read
from tests.support.samples import NOW

LEAK = samples.account_sas()
KEY = samples.KEYS["key1"]


NEW = ("betterleaks", "detect-secrets", "ggshield", "gitlab", "kingfisher", "noseyparker", "secretlint", "trivy")


@pytest.mark.parametrize("source", NEW)
@pytest.mark.parametrize("body", [b"\xff", b"[" * 50_000, b"7", b"[]", b"{}", b'{"findings": 7}'])
def test_malformed_report_is_refused_or_invalid(source: str, body: bytes) -> None:
    try:
        entries = read(source, body)
    except (InvalidPayload, InvalidRequest):
        return
    assert all(isinstance(entry, Invalid) for entry in entries)


@pytest.mark.parametrize(
    ("source", "payload", "invalid"),
    [
        ("betterleaks", {"findings": [7, {}, {"match": {"full": 7}}]}, 3),
        ("detect-secrets", {"results": {"a": [7], "b": 7}}, 2),
        (
            "ggshield",
            {
                "scans": [7],
                "entities_with_incidents": [7, {"incidents": [7, {"occurrences": [7]}]}],
            },
            4,
        ),
        ("gitlab", {"vulnerabilities": [7]}, 1),
        ("secretlint", [7, {"messages": [7]}], 2),
        ("kingfisher", {"findings": [7, {}, {"finding": {"snippet": 7}}]}, 3),
        ("noseyparker", [7, {}, {"matches": 7}, {"matches": [7, {}, {"snippet": {"matching": 7}}]}], 6),
        ("trivy", {"SchemaVersion": 2, "Results": [7, {"Secrets": [7]}]}, 2),
    ],
)
def test_malformed_item_is_invalid_alone(source: str, payload: object, invalid: int) -> None:
    assert [type(entry) for entry in read(source, payload)] == [Invalid] * invalid


@pytest.mark.parametrize("lines", [True, False])
def test_betterleaks_finding_has_its_match_its_components_and_its_place(lines: bool) -> None:
    finding = {
        "match": {"full": f"key = {KEY}", "value": KEY},
        "location": {"path": "a.py", "start_line": 3, "end_line": 4},
        "attributes": {"git.sha": "ab" * 20},
        "component_sets": [7, {"components": [7, {"match": {"value": "account = robustmodels"}}]}],
    }

    entry = only("betterleaks", finding if lines else {"findings": [finding]})

    assert entry.text == f"key = {KEY}\n{KEY}\naccount = robustmodels"
    assert (entry.place, entry.url) == (Place("a.py", 3, 4, "ab" * 20), f"a.py:3@{'ab' * 6}")


def test_redacted_betterleaks_finding_is_masked() -> None:
    assert only("betterleaks", {"findings": [{"match": {"full": "key=REDACTED"}}]}).masked


def test_ggshield_occurrence_has_the_other_parts_of_its_incident_and_the_line_after_its_commit() -> None:
    account = {"match": "robustmodels", "type": "account", "line_start": 1, "line_end": 1, "post_line_start": 7}
    key = {"match": KEY, "type": "key", "line_start": 2, "line_end": 2, "post_line_start": 8, "post_line_end": 8}
    entity = {"filename": "a.py", "incidents": [{"occurrences": [account, key]}]}
    report = {"type": "commit-range", "scans": [{"id": "ab" * 20, "entities_with_incidents": [entity]}]}

    entries = read("ggshield", report)

    assert [(entry.text, entry.place, entry.masked) for entry in entries if isinstance(entry, Text)] == [
        (f"robustmodels\n{KEY}", Place("a.py", 7, 7, "ab" * 20), False),
        (f"{KEY}\nrobustmodels", Place("a.py", 8, 8, "ab" * 20), False),
    ]


def test_secretlint_message_is_read_from_the_files_text_that_the_report_has() -> None:
    loc = {"start": {"line": 2, "column": 4}, "end": {"line": 2, "column": 92}}
    report = [{"filePath": "a.py", "sourceContent": f"one\nkey={KEY}", "messages": [{"message": "***", "loc": loc}]}]

    [entry] = read("secretlint", report)

    assert isinstance(entry, Text)
    assert (entry.text, entry.masked, entry.place) == ("", True, Place("a.py", 2, 2))
    assert entry.around == Around(f"one\nkey={KEY}", 2, 2)


def test_kingfisher_finding_has_the_account_that_it_was_paired_with() -> None:
    finding = {
        "rule": {"id": "betterleaks.azure-storage-account-key"},
        "finding": {"snippet": KEY, "dependent_captures": {"AZURE_STORAGE_ACCOUNT_NAME": "robustmodels"}},
    }

    assert extract(only("kingfisher", {"findings": [finding]}).text) == (samples.leak(samples.connection_string()),)


def test_kingfisher_snippet_of_another_rule_has_no_label() -> None:
    assert only("kingfisher", {"findings": [{"finding": {"snippet": LEAK}}]}).text == LEAK


def test_kingfisher_line_of_the_scan_is_none_of_its_findings() -> None:
    body = b'{"audit": {}}\n{"findings": 0, "rules_applied": 488}\n{"later": 1}\n7\nno json\n'

    assert [type(entry) for entry in read("kingfisher", body)] == [Invalid] * 3


def match(matching: str, *, before: str = "", after: str = "", size: int = 0, **fields: object) -> dict[str, Any]:
    """A match of Nosey Parker at the end of `before`, which is a snippet of a file of `size` bytes."""
    span = {"start": {"line": 3, "column": 1}, "end": {"line": 4, "column": 9}}
    start = len(before) if size else 1000
    return {
        "snippet": {"before": before, "matching": matching, "after": after},
        "location": {"source_span": span, "offset_span": {"start": start, "end": start + len(matching)}},
        "blob_metadata": {"num_bytes": size},
        "provenance": [{"kind": "file", "path": "./a.py"}],
        **fields,
    }


@pytest.mark.parametrize("lines", [True, False])
def test_noseyparker_finding_has_a_text_for_each_match(lines: bool) -> None:
    finding = {"rule_name": "x", "matches": [match(LEAK), match(LEAK, provenance=[])]}
    body = f"{json.dumps(finding)}\n\nno json\n" if lines else json.dumps([finding])

    one, other, *more = read("noseyparker", body.encode())

    assert [type(each) for each in more] == ([Invalid] if lines else [])
    assert isinstance(one, Text)
    assert isinstance(other, Text)
    assert (one.text, one.place, one.url) == (LEAK, Place("a.py", 3, 4), "a.py:3")
    assert (other.text, other.place, other.url) == (LEAK, None, None)


COMMIT = {"blob_path": "my.env", "commit_metadata": {"commit_id": "ab" * 20}}


@pytest.mark.parametrize(
    ("provenance", "place", "url"),
    [
        (
            {"kind": "git_repo", "repo_path": "/src/x/", "first_commit": COMMIT},
            Place("my.env", 3, 4, "ab" * 20),
            f"/src/x/my.env:3@{'ab' * 6}",
        ),
        ({"kind": "git_repo", "repo_path": "/src/x", "first_commit": None}, None, "/src/x"),
        ({"kind": "git_repo", "repo_path": "/src/x", "first_commit": {"blob_path": 7}}, None, "/src/x"),
        ({"kind": "extended", "path": "a.py", "more": [7]}, Place("a.py", 3, 4), "a.py:3"),
        ({"kind": "extended", "path": {"a": 7}}, None, None),
    ],
)
def test_noseyparker_match_has_its_file_and_the_commit_that_it_was_first_seen_in(
    provenance: dict[str, Any], place: Place | None, url: str | None
) -> None:
    entry = only("noseyparker", [{"matches": [match(LEAK, provenance=[7, provenance])]}])

    assert (entry.place, entry.url) == (place, url)


def test_noseyparker_match_without_its_account_has_the_one_of_its_snippet() -> None:
    before = "# settings\naccount_name = robustmodels\n"
    found = match(f"AccountKey={KEY}", before=before, after="\n")

    [item] = items_of(read("noseyparker", [{"matches": [found]}]), source="x", now=NOW)

    assert [finding.host for finding in item.findings] == ["robustmodels.blob.core.windows.net"]


def test_token_that_a_snippet_of_noseyparker_cuts_is_no_finding() -> None:
    """Without what follows, such as `&spr=https`, it would be an altered copy of itself."""
    address, _, token = LEAK.partition("?")
    *others, signature = token.split("&")
    cut = f"{address}?{'&'.join([signature, *others])}"
    found = match("matched", before="xxstart ", after=f" {cut}")

    assert extract(cut)
    assert items_of(read("noseyparker", [{"matches": [found]}]), source="x", now=NOW)[0].findings == ()


def test_word_where_the_file_begins_or_ends_is_not_cut() -> None:
    before, after = "url=", "#end"
    found = match(LEAK, before=before, after=after, size=len(before + LEAK + after))

    assert only("noseyparker", [{"matches": [found]}]).around == Around(f"url={LEAK}#end", 1, 1)


def test_half_a_character_in_a_line_of_noseyparker_is_read() -> None:
    body = json.dumps({"matches": [match(LEAK, before="\ud800 ", size=9)]}).encode()

    assert only("noseyparker", body).text == LEAK


def test_gitlab_vulnerability_has_its_extract_and_its_place() -> None:
    location = {"file": "a.py", "start_line": 3, "end_line": 3, "commit": {"sha": "0000000"}}

    entry = only("gitlab", {"vulnerabilities": [{"raw_source_code_extract": LEAK, "location": location}]})

    assert (entry.text, entry.place) == (LEAK, Place("a.py", 3, 3, "0000000"))


def test_gitlab_vulnerability_without_an_extract_is_masked() -> None:
    assert only("gitlab", {"vulnerabilities": [{"location": {"file": "a.py", "start_line": 3}}]}).masked


@pytest.mark.parametrize(
    ("source", "report"),
    [
        ("trufflehog", {"Raw": LEAK, "Verified": "HINT"}),
        (
            "sarif",
            {
                "runs": [
                    {
                        "results": [
                            {
                                "message": {"text": LEAK},
                                "locations": [7, {"properties": {"validation_status": "HINT"}}],
                            }
                        ]
                    }
                ]
            },
        ),
        ("kingfisher", {"findings": [{"finding": {"snippet": LEAK, "validation": {"status": "HINT"}}}]}),
        (
            "ggshield",
            {"entities_with_incidents": [{"incidents": [{"validity": "HINT", "occurrences": [{"match": LEAK}]}]}]},
        ),
    ],
)
@pytest.mark.parametrize(
    "hint", [True, False, "Active Credential", "Inactive Credential", "valid", "invalid", 1, [True]]
)
def test_result_that_its_tool_has_verified_says_so(source: str, report: object, hint: object) -> None:
    """TruffleHog, pkg/output/json.go; kingfisher, src/reporter.rs; ggshield, `VALIDITY_TEXT_FOR_ID`."""
    verified = {"trufflehog": True, "ggshield": "valid"}.get(source, "Active Credential")
    body = json.dumps(report).replace('"HINT"', json.dumps(hint)).encode()

    assert only(source, body).verified is (hint == verified and type(hint) is type(verified))


# SARIF, wherever the standard lets tools put text


def result(**fields: Any) -> dict[str, Any]:
    return {"runs": [{"results": [{"ruleId": "x", **fields}]}]}


def physical(text: str) -> dict[str, Any]:
    region = {"startLine": 2, "snippet": {"text": text}}
    return {"physicalLocation": {"artifactLocation": {"uri": "a.py"}, "region": region}}


@pytest.mark.parametrize(
    "fields",
    [
        {"locations": [physical(LEAK)]},
        {"relatedLocations": [physical(LEAK)]},
        {"codeFlows": [{"threadFlows": [{"locations": [{"location": physical(LEAK)}]}]}]},
        {"message": {"text": "See {0}", "arguments": [LEAK, 7]}},
        {"message": {"markdown": LEAK}},
        {"properties": {"match": LEAK, "count": 7}},
        {"locations": [{"properties": {"match": LEAK}}]},
        {"locations": [{"message": {"text": LEAK}}]},
    ],
)
def test_sarif_result_has_its_text(fields: dict[str, Any]) -> None:
    assert extract(only("sarif", result(**fields)).text) == (samples.leak(LEAK),)


@pytest.mark.parametrize(
    "fields",
    [
        {"codeFlows": [7, {"threadFlows": [7, {"locations": [7]}]}], "message": {"text": "x"}},
        {"locations": [7, {"properties": 7, "message": 7}], "message": {"text": "x", "arguments": 7}},
    ],
)
def test_malformed_parts_of_a_sarif_result_are_left_out(fields: dict[str, Any]) -> None:
    assert only("sarif", result(**fields)).text == "x"


@pytest.mark.parametrize("location", [{"uri": "a.py"}, {"index": 0}])
@pytest.mark.parametrize("artifact", [{"location": {"uri": "a.py"}, "contents": {"text": f"one\n{LEAK}\n"}}])
def test_content_of_a_file_in_the_log_is_the_text_around(location: dict[str, Any], artifact: dict[str, Any]) -> None:
    place = {"physicalLocation": {"artifactLocation": location | {"uri": "a.py"}, "region": {"startLine": 2}}}
    log = result(locations=[place], message={"text": "A token"})
    log["runs"][0]["artifacts"] = [artifact]

    entry = only("sarif", log)

    assert entry.around == Around(f"one\n{LEAK}\n", 2, 2)
    [item] = items_of([entry], source="sarif", now=NOW)
    assert [finding.credential for finding in item.findings] == [samples.leak(LEAK)]


@pytest.mark.parametrize("artifacts", [[7], [], [{"contents": 7}]])
def test_log_without_the_content_has_no_text_around(artifacts: list[Any]) -> None:
    place = {"physicalLocation": {"artifactLocation": {"index": 0}, "region": {"startLine": 2}}}
    log = result(locations=[place], message={"text": LEAK})
    log["runs"][0]["artifacts"] = artifacts

    assert only("sarif", log).around is None


@pytest.mark.parametrize(("rule", "is_key"), [("azure-storage-account-key", True), ("aws-secret", False)])
def test_rule_of_a_sarif_result_says_that_a_bare_value_is_a_key(rule: str, is_key: bool) -> None:
    unmarked = base64.b64encode(bytes(range(64))).decode()  # without the mark of keys of today

    entry = only("sarif", result(ruleId=rule, locations=[physical(unmarked)], message={"text": "A secret"}))

    assert bool(extract(entry.text)) is is_key


# Text around a place


def test_what_a_tool_cut_out_of_an_encoded_key_is_read_as_the_key() -> None:
    encoded = base64.b64encode(KEY.encode()).decode()
    cut = encoded[-88:]
    assert extract(cut), "it looks like a key by itself"

    [item] = items_of(
        [Text(cut, around=Around(f"data:\n  azurestorageaccountkey: {encoded}\n", 2, 2))], source="x", now=NOW
    )

    [key] = extract(KEY)
    assert [one.credential.key_sha256 for one in item.findings if one.credential] == [key.key_sha256]


def test_what_the_file_no_longer_has_is_a_finding_still() -> None:
    [item] = items_of([Text(KEY, around=Around("data:\n  key: none\n", 2, 2))], source="x", now=NOW)

    assert len(item.findings) == 1


def test_bare_key_has_the_account_that_stands_around_it() -> None:
    around = Around(f"account_name = robustmodels\nother = {samples.blob_sas()}\nAccountKey = {KEY}\n", 3, 3)

    [item] = items_of([Text(f"AccountKey={KEY}", around=around)], source="x", now=NOW)

    assert [finding.everywhere[0].account for finding in item.findings] == ["robustmodels"]


def test_masked_result_has_the_credentials_of_its_lines_alone() -> None:
    around = Around(f"{samples.blob_sas()}\n{LEAK}\n", 2, 2)

    [item] = items_of([Text("", around=around, masked=True)], source="x", now=NOW)

    assert [finding.credential for finding in item.findings] == [samples.leak(LEAK)]


def test_masked_result_without_a_text_is_ignored_as_redacted() -> None:
    [item] = items_of([Text("sig=****", masked=True)], source="x", now=NOW)

    assert (item.result, item.reason) == (Result.IGNORED, "redacted")
