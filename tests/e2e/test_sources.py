"""From every source and back: a real payload, a revoked token, a closed alert, and one rotation."""

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import PIPE
from typing import Any

import httpx
import pytest

from local.reporters import reports
from local.reporters.reports import Posted
from local.tenant.model import Account, new_storage_key
from shared.api.intake.registry import TEXT_READERS
from shared.domain.states import State
from tests.support.api_calls import APPROVER, SECOND_APPROVER, approve
from tests.support.deployment import Deployment, is_closed
from tests.support.intake import generic
from tests.support.leaks import Leak, account_sas, blob_sas, raw_key
from tests.support.paths import ROOT
from tests.support.patience import PATIENCE

DIRECT = [source for source in reports.SOURCES if source != "defender"]
ALERTING = ("github", "azure-devops", "defender")


def made(
    deployment: Deployment, source: str, account: Account, leak: Leak = account_sas, key: str = "key2"
) -> Posted:
    """A report about a leak of the account, as the source posts it."""
    text = leak(account.name, account.keys[key])
    return reports.make(deployment.cloud.model, deployment.cloud.entra, source=source, text=text)


async def post(deployment: Deployment, posted: Posted, *, host: int = 0, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=deployment.cloud.hosts[host], trust_env=False, timeout=PATIENCE) as client:
        return await client.post(
            f"/api/intake/{posted.source}", content=posted.body, headers=posted.headers | headers
        )


async def fingerprint(deployment: Deployment, account: Account) -> str:
    """The one record about an account, once its finding was published."""
    async with asyncio.timeout(PATIENCE):
        while True:
            events = [
                e
                for e in deployment.cloud.model.events
                if account.name in str(e) and "intake" in str(e.get("source"))
            ]
            if events:
                return str(events[0]["id"])
            await asyncio.sleep(0.1)  # another process decides when


def alerts_of(deployment: Deployment, source: str) -> list[Any]:
    """The alerts that a source keeps, as (state, resolution, comment)."""
    alerts = deployment.cloud.model.alerts
    match source:
        case "github":
            return [(a.state, a.resolution, a.comment) for a in alerts.github]
        case "azure-devops":
            return [(a.state, a.reason, a.comment) for a in alerts.azure_devops]
    return [(a.status, a.classification, "\n".join(a.comments)) for a in alerts.defender]


@pytest.mark.parametrize("source", DIRECT)
async def test_repeated_delivery_revokes_once_and_closes_the_alert(deployment: Deployment, source: str) -> None:
    account = await deployment.account()
    posted = made(deployment, source, account)

    answers = [await post(deployment, posted, host=number % 2) for number in range(3)]
    record = await deployment.settled(await fingerprint(deployment, account), until=is_closed)

    assert {answer.status_code for answer in answers} == {202}
    assert deployment.rotations(account) == ["key2"]
    assert record.state is State.CLOSED
    assert len(deployment.mails(account)) == 1
    if source in ALERTING:
        state, resolution, comment = alerts_of(deployment, source)[-1]
        assert (state, resolution) in [("resolved", "revoked"), ("dismissed", "fixed")]
        assert record.fingerprint[:12] in comment
        assert [closed.alert for closed in record.closed_alerts] == list(record.alerts)


@pytest.mark.parametrize("leak", [blob_sas, raw_key], ids=lambda leak: leak.__name__)
@pytest.mark.parametrize("source", ["github", "azure-devops", "trufflehog", "sarif"])
async def test_split_leaks_of_other_sources_are_joined(deployment: Deployment, source: str, leak: Leak) -> None:
    account = await deployment.account()

    await post(deployment, made(deployment, source, account, leak, "key1"))
    await deployment.settled(await fingerprint(deployment, account), until=is_closed)

    assert deployment.rotations(account) == ["key1"]


async def test_defender_evidence_requires_approval_and_is_resolved_after_revocation(deployment: Deployment) -> None:
    account = await deployment.account()
    posted = made(deployment, "defender", account)

    answers = [await post(deployment, posted) for _ in range(3)]
    name = await fingerprint(deployment, account)
    waiting = await deployment.settled(name, until=lambda record: bool(record.notifications))
    assert (waiting.state, deployment.rotations(account)) == (State.AWAITING_APPROVAL, [])
    assert waiting.plan is not None
    assert [mail.to for mail in deployment.mails(account)] == [("security@contoso.com",)]  # nobody has the token
    record_shown = {"id": name, "plan": {"digest": waiting.plan.digest}}
    first = await approve(deployment, record_shown, who=APPROVER)
    between = deployment.rotations(account)
    approved = await approve(deployment, record_shown, who=SECOND_APPROVER)
    record = await deployment.settled(name, until=is_closed)

    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert (first.status_code, first.json()["state"], between) == (200, "awaiting_approval", [])
    assert first.json()["evidence_check"]["outcome"] == "confirmed"
    assert approved.status_code == 200
    assert deployment.rotations(account) == ["key2"]
    assert record.finding.evidence is not None
    [state, classification, comment] = alerts_of(deployment, "defender")[-1]
    assert (state, classification) == ("resolved", "truePositive")
    assert record.fingerprint[:12] in comment


@pytest.mark.parametrize("source", [s for s in reports.SOURCES if s not in ("azure-devops", "defender")])
async def test_changed_body_is_refused_and_nothing_is_published(deployment: Deployment, source: str) -> None:
    account = await deployment.account()
    posted = made(deployment, source, account)

    altered = Posted(source, posted.headers, posted.body.replace(b"README", b"readme") + b" ")
    answer = await post(deployment, altered)

    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed")
    assert not [event for event in deployment.cloud.model.events if account.name in str(event)]


@pytest.mark.parametrize(
    ("source", "authorization", "status"),
    [
        ("azure-devops", "Basic c2FzcXVhc2g6d3Jvbmc=", 401),
        ("defender", "Bearer a.b.c", 401),
        ("wiz", "Bearer a.b.c", 401),
    ],
)
async def test_unauthenticated_source_is_refused(
    deployment: Deployment, source: str, authorization: str, status: int
) -> None:
    account = await deployment.account()

    answer = await post(deployment, made(deployment, source, account), Authorization=authorization)

    assert answer.status_code == status
    assert not [event for event in deployment.cloud.model.events if account.name in str(event)]


# By hand


async def ran(
    deployment: Deployment, *arguments: str, given: bytes = b"", **environment: str
) -> tuple[int, str, str]:
    """Run Python in a process of its own, with what `.local/env` exports; its exit code and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **deployment.cloud.environment, **environment},
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await process.communicate(given)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_piped_report_is_published_without_its_secret(deployment: Deployment) -> None:
    account = await deployment.account()
    leak = account_sas(account.name, account.keys["key1"])
    line = json.dumps({"Raw": leak, "SourceMetadata": {"Data": {"Filesystem": {"file": "a.py", "line": 3}}}})

    code, out, err = await ran(deployment, "-m", "shared.intake", "trufflehog", given=f"{line}\nnot json\n".encode())
    items = [json.loads(written) for written in out.splitlines()]
    [fingerprint] = items[0]["findings"]
    record = await deployment.settled(fingerprint, until=is_closed)

    assert (code, err) == (1, "1 accepted, 0 ignored, 1 invalid\n")
    assert (record.finding.source, record.finding.url) == ("trufflehog", "a.py:3")
    assert deployment.rotations(account) == ["key1"]
    assert "sig=" not in out


async def test_pipe_that_can_not_publish_fails(deployment: Deployment) -> None:
    leak = account_sas("robustmodels", new_storage_key())
    topic = "https://nosuchtopic.westeurope-1.eventgrid.azure.net/api/events"

    code, out, err = await ran(
        deployment, "-m", "shared.intake", "generic", given=generic(leak), SASQUASH_TOPIC_ENDPOINT=topic
    )

    assert (code, out) == (2, "")
    assert err.startswith("Not all findings were published. Run it again: Publishing findings")


@pytest.mark.parametrize(("given", "why"), [(b"{}", "`findings`"), (b"\xff", "UTF-8")])
async def test_pipe_of_another_format_fails(deployment: Deployment, given: bytes, why: str) -> None:
    code, _, err = await ran(deployment, "-m", "shared.intake", "generic", given=given)

    assert code == 2
    assert why in err


@pytest.mark.parametrize("source", ["github", "defender", "sarif"])
async def test_documented_curl_command_works(deployment: Deployment, source: str) -> None:
    code, out, err = await ran(deployment, "-m", "local.reporters.send_report", source)

    assert code == 0, err
    assert f"as {source} does" in out
    assert ("awaiting_approval" if source == "defender" else "closed: ") in out
    assert (f"Alert at the source ({source} alert" in out) is (source != "sarif")


# What the page says


def page() -> str:
    return (ROOT / "docs" / "sources.md").read_text()


def test_documentation_names_every_source_with_a_parser() -> None:
    named = set(re.findall(r"`([a-z-]+)`", page().partition("## GitHub")[0]))

    assert {"github", "azure-devops", "defender", *TEXT_READERS} <= named


async def test_documented_signature_is_accepted(deployment: Deployment) -> None:
    [shown] = re.findall(r"python - <<'EOF'\n(.*?)\nEOF\n", page(), re.DOTALL)

    code, out, err = await ran(deployment, "-", given=shown.encode())

    assert code == 0, err
    assert json.loads(out)["ignored"] == 1
