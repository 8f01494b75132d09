"""Two hosts: repeated events are processed once, and unreadable messages are reported."""

import asyncio
from datetime import UTC, datetime

from azure.core.messaging import CloudEvent
from azure.storage.queue.aio import QueueClient

from local.tenant.model import STATE_ACCOUNT
from shared.domain.report import REPORTED, in_text
from tests.support.deployment import Deployment, Developer, is_closed
from tests.support.leaks import account_sas
from tests.support.patience import PATIENCE

COPIES = 200


async def test_two_hundred_concurrent_copies_are_one_rotation_one_incident_and_one_mail(
    deployment: Deployment,
) -> None:
    account = await deployment.account()
    text = account_sas(account.name, account.keys["key1"])
    [reported] = in_text(text, source="github", url=None, detected_at=datetime.now(UTC))
    data, fingerprint = reported.finding.to_data(), reported.finding.fingerprint
    events = [CloudEvent(source="/tests", type=REPORTED, id=f"{fingerprint}-{n}", data=data) for n in range(COPIES)]
    await asyncio.gather(*(deployment.publish(*events[start : start + 20]) for start in range(0, COPIES, 20)))
    await deployment.settled(fingerprint, until=is_closed)
    assert len(deployment.requests(f"/{account.name}/regenerateKey")) == 1
    assert deployment.rotations(account) == ["key1"]
    assert deployment.incident(fingerprint)["Status"] == "closed"
    assert len(deployment.mails(account)) == 1


async def test_unknown_message_becomes_a_failed_record_an_incident_and_a_mail(
    deployment: Deployment,
) -> None:
    endpoint = f"https://{STATE_ACCOUNT}.queue.core.windows.net"
    async with QueueClient(
        endpoint,
        "contain-poison",
        credential=Developer(deployment.cloud),
        **deployment.options,
    ) as queue:
        await queue.send_message("not a message of the app")

    async def reported() -> bool:
        mailed = any("FAILED" in mail.subject for mail in deployment.cloud.model.mails)  # alone or with others
        filed = any(incident.fields["Status"] == "failed" for incident in deployment.cloud.model.incidents)
        return mailed and filed

    async with asyncio.timeout(PATIENCE):
        while not await reported():  # noqa: ASYNC110 -- another process decides when
            await asyncio.sleep(0.1)
