"""Webhooks of tools that keep the secret to themselves: each has an answer that says so."""

import json
from typing import Any

import pytest

from shared.sources.entries import Text
from shared.sources.parsing import Item, Result, items_of
from tests.support import samples
from tests.support.entries import only, read
from tests.support.intake import Place, said, signed
from tests.support.samples import NOW

LEAK = samples.account_sas()

GITGUARDIAN: dict[str, Any] = {
    "source": "GitGuardian",
    "timestamp": "2022-06-23T09:10:24.594597Z",
    "action": "new_occurrence",
    "message": "A new occurrence has been detected for this incident.",
    "target_user": "GitGuardian",
    "incident": {
        "id": 31605,
        "date": "2022-06-16T08:23:40Z",
        "detector": {"name": "azure_storage_account_key", "display_name": "Azure Storage Account Key"},
        "secret_hash": "xxx",
        "hmsl_hash": "xxx",
        "secret_revoked": False,
        "validity": "not_checked",
        "gitguardian_url": "https://dashboard.gitguardian.com/workspace/1/incidents/xxx",
    },
    "occurrence": {
        "id": 1234,
        "sha": "xxx",
        "url": "https://github.com/user/repo/commit/123#diff-xxx",
        "filepath": "my/path/TestJS.js",
        "source": {"id": 710, "url": "https://github.com/user/repo", "type": "github"},
    },
}
"""docs.gitguardian.com, "Custom webhook", payload structure, "New occurrence", shortened."""

RADAR: dict[str, Any] = {
    "version": "1.0",
    "event_id": "f1f50398-8452-410a-b906-c20c8905c800",
    "event_type": "REPO_SCAN_MATCH",
    "event_subtype": "password_assignment",
    "description": "Password assignment",
    "severity": "high",
    "risk_category": "secrets",
    "data_source": {"type": "GitHub Cloud", "name": "hashidemo", "resource": "repo-with-secret"},
    "event_details": {
        "author": "someone@myorg.com",
        "commit_hash": "07a88a2b410fc53f804165c280fd38f4109b3a98",
        "repo_file_path": "file.json",
    },
    "links": {"vault_radar_link": "https://radar.example/1", "data_source_provider_link": "https://github.com/x/y#1"},
}
"""developer.hashicorp.com, HCP Vault Radar, "Webhook payloads", example payload, shortened."""

WIZ: dict[str, Any] = {
    "trigger": {"source": "ISSUE", "type": "Open", "ruleId": "710a481b", "ruleName": "issue-updates"},
    "issue": {"id": "e3188a71", "status": "OPEN", "severity": "HIGH", "created": "2025-07-25", "projects": ""},
    "resource": {
        "id": "",
        "name": "jenkins-aws",
        "type": "virtualMachine",
        "cloudPlatform": "AWS",
        "cloudProviderURL": "",
        "subscriptionId": "111111111111",
        "region": "us-east-2",
        "status": "",
    },
    "control": {"id": "cer-1", "name": "An exposed secret", "description": "A rule", "severity": "HIGH", "risks": []},
}
"""panther-labs/panther-analysis, rules/wiz_rules/wiz_issue_alert_passthrough.yml, without Panther's own fields; the
same form as in AxtonGrams/terraform-provider-wiz, examples/resources/wiz_automation_action/resource.tf."""

NOTICES = {"gitguardian": GITGUARDIAN, "vault-radar": RADAR, "wiz": WIZ}


def item(source: str, body: object) -> Item:
    [found] = items_of(read(source, body), source=source, now=NOW)
    return found


@pytest.mark.parametrize(
    ("source", "reason"), [("gitguardian", "redacted"), ("vault-radar", "redacted"), ("wiz", "no_credential")]
)
def test_notice_without_a_secret_is_ignored_for_a_reason(source: str, reason: str) -> None:
    found = item(source, NOTICES[source])

    assert (found.result, found.reason, found.findings) == (Result.IGNORED, reason, ())


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("gitguardian", "https://github.com/user/repo/commit/123#diff-xxx"),
        ("vault-radar", "https://github.com/x/y#1"),
        ("wiz", "jenkins-aws"),
    ],
)
def test_notice_says_where_the_secret_is(source: str, url: str) -> None:
    assert only(source, NOTICES[source]).url == url


@pytest.mark.parametrize(
    ("source", "body", "url"),
    [
        ("gitguardian", GITGUARDIAN | {"occurrence": {"filepath": "a.py"}}, "a.py"),
        ("gitguardian", GITGUARDIAN | {"occurrence": 7}, None),
        ("gitguardian", {"source": "GitGuardian", "incident": None}, None),
        ("vault-radar", RADAR | {"links": [7]}, "file.json"),
        ("vault-radar", RADAR | {"links": None, "event_details": {"repo_file_path": 7}}, None),
        (
            "wiz",
            WIZ | {"resource": {"cloudProviderURL": "https://portal.azure.com/x", "name": 7}},
            "https://portal.azure.com/x",
        ),
        ("wiz", WIZ | {"resource": [7], "control": {"id": 7, "more": [None, {"x": [1.5, True]}]}}, None),
    ],
)
def test_notice_with_parts_that_are_malformed_or_missing_is_read(source: str, body: object, url: str | None) -> None:
    assert only(source, body).url == url


@pytest.mark.parametrize("where", ["issue", "control", "more"])
def test_credential_that_people_have_added_to_the_body_of_wiz_is_found(where: str) -> None:
    body = WIZ | {where: {"evidence": [{"text": f"found {LEAK} there"}]}}

    assert [one.credential for one in item("wiz", body).findings] == [samples.leak(LEAK)]


def test_body_of_wiz_that_is_nested_as_deep_as_json_may_be_is_read() -> None:
    nested: object = LEAK
    for _ in range(900):
        nested = [nested]

    assert LEAK in only("wiz", WIZ | {"more": nested}).text


def test_body_of_ten_thousand_texts_is_one_item() -> None:
    assert only("wiz", WIZ | {"more": [f"text {number}" for number in range(10_000)]}).text.count("text") == 10_000


def test_findings_are_read_from_a_body_that_also_looks_like_a_notice() -> None:
    entries = read("wiz", WIZ | {"findings": [{"text": LEAK}, {"text": LEAK}]})

    assert [type(entry) for entry in entries] == [Text, Text]


@pytest.mark.parametrize(("source", "reason"), [("wiz", "no_credential")])
async def test_answer_to_a_posted_notice_has_the_reason(source: str, reason: str) -> None:
    here = Place()
    answer = await here.intake().receive(signed(source, json.dumps(NOTICES[source]).encode()))

    assert (answer.status_code, said(answer)["ignored_because"]) == (200, {reason: 1})
    assert here.topic.sent == []


async def test_body_that_nobody_knows_is_refused_with_the_format() -> None:
    answer = await Place().intake().receive(signed("wiz", b'{"alert": "x"}'))

    assert answer.status_code == 400
    assert "list `findings`" in said(answer)["detail"]
