"""In a private network Event Grid can't call the app: findings reach it by a Storage queue."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue.aio import QueueClient

from local.cloud.cloud import LocalCloud, running
from local.event_grid.storage_queue import Encoding
from local.network.faults import Effect, Fault
from local.reporters import reports
from local.tenant.model import STATE_ACCOUNT
from shared.domain import event_size
from shared.domain import report as findings
from shared.domain.finding import Finding
from shared.domain.report import REPORTED
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from tests.support.bicep import functions
from tests.support.deployment import Deployment, Developer, eventually, is_closed
from tests.support.function_host import running_host
from tests.support.leaks import account_sas
from tests.support.paths import ROOT
from tests.support.patience import PATIENCE

MASTER_KEY = "the-master-key"
QUEUES = f"https://{STATE_ACCOUNT}.queue.core.windows.net"
TIME_FACTOR = 60  # a message is tried again at once, and a dead letter is written after five seconds


@pytest.fixture(scope="module")
async def network(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCloud]:
    """A cloud whose app is in a private network."""
    folder = tmp_path_factory.mktemp("private")
    settings = {"LOCAL_MASTER_KEY": MASTER_KEY}
    async with running(folder=folder, hosts=2, private=True, time_factor=TIME_FACTOR, settings=settings) as cloud:
        yield cloud


@pytest.fixture
def private(network: LocalCloud) -> Deployment:
    network.faults.clear()
    return Deployment(network)


def queue(of: Deployment, name: str) -> QueueClient:
    return QueueClient(QUEUES, name, credential=Developer(of.cloud), **of.options)


def reported(leaked: str) -> Finding:
    [found] = findings.in_text(leaked, source="test", url=None, detected_at=datetime.now(UTC))
    return found.finding


def event_of(found: Finding, *, size: int = 0) -> CloudEvent[dict[str, object]]:
    """The event of a finding, whose data has that many bytes."""
    data = found.to_data()
    if size:
        data["padding"] = ""
        data["padding"] = "x" * (size - event_size.size_of(data))
    return CloudEvent(source="/tests", type=REPORTED, id=found.fingerprint, data=data)


@pytest.mark.parametrize("encoding", Encoding)
async def test_leak_is_revoked_in_either_encoding_of_the_message(private: Deployment, encoding: Encoding) -> None:
    """MicrosoftDocs/azure-docs#69702 (plain), #102923 (base64)."""
    assert private.cloud.findings_queue is not None
    private.cloud.findings_queue.encoding = encoding
    account = await private.account()

    [fingerprint] = await private.report(account_sas(account.name, account.keys["key1"]))
    await private.settled(fingerprint, until=is_closed)

    assert private.rotations(account) == ["key1"]
    assert private.requests("/runtime/webhooks/eventgrid") == []


async def test_event_in_the_event_grid_schema_is_revoked(private: Deployment) -> None:
    account = await private.account()
    leaked = account_sas(account.name, account.keys["key2"])
    data = {"secret": leaked, "source": "test"}

    await private.publish(EventGridEvent(subject="tests", event_type=REPORTED, data=data, data_version="1"))
    record = await private.settled(reported(leaked).fingerprint)

    assert record.state is State.CLOSED, record.detail
    assert private.rotations(account) == ["key2"]


async def test_report_to_the_public_intake_is_revoked(private: Deployment, tmp_path: Path) -> None:
    """The intake publishes to the topic, by its private endpoint, and never calls the responder."""
    account = await private.account()
    leaked = account_sas(account.name, account.keys["key1"])
    posted = reports.make(private.cloud.model, private.cloud.entra, source="github", text=leaked)
    alone = {f"AzureWebJobs.{name}.Disabled": "true" for name in functions()["responder"]}
    variables = dict(await private.cloud.add_intake()) | alone
    async with (
        running_host(ROOT, tmp_path / "intake.log", variables) as intake,
        httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client,
    ):
        answer = await client.post(f"{intake.url}/api/intake/github", content=posted.body, headers=posted.headers)
        await private.settled(reported(leaked).fingerprint, until=is_closed)

    assert answer.status_code == 202
    assert private.rotations(account) == ["key1"]


async def test_event_that_comes_twenty_times_is_one_rotation_and_one_mail(private: Deployment) -> None:
    account = await private.account()
    found = reported(account_sas(account.name, account.keys["key2"]))

    await private.publish(*(event_of(found) for _ in range(20)))
    await private.settled(found.fingerprint, until=is_closed)

    assert private.rotations(account) == ["key2"]
    assert len(private.mails(account)) == 1


async def test_largest_finding_arrives(private: Deployment) -> None:
    """In base64, as a message of a queue, which holds 64 KiB ("Put Message")."""
    assert private.cloud.findings_queue is not None
    private.cloud.findings_queue.encoding = Encoding.BASE64
    account = await private.account()
    found = reported(account_sas(account.name, account.keys["key1"]))

    await private.publish(event_of(found, size=event_size.LARGEST))
    await private.settled(found.fingerprint, until=is_closed)

    assert private.rotations(account) == ["key1"]
    assert [letter["id"] for letter in private.cloud.model.dead_letters if letter["id"] == found.fingerprint] == []


async def test_larger_event_of_another_publisher_becomes_a_dead_letter_and_is_revoked(private: Deployment) -> None:
    """The queue answers 413, which Event Grid does not retry ("Event Grid message delivery and retry")."""
    account = await private.account()
    found = reported(account_sas(account.name, account.keys["key1"]))

    await private.publish(event_of(found, size=64 * 1024))
    await eventually(lambda: dead_letters(private), bool)
    await run_now(private, "collect_dead_letters")
    await private.settled(found.fingerprint, until=is_closed)

    [letter] = [each for each in private.cloud.model.dead_letters if each["id"] == found.fingerprint]
    assert (letter["deliveryAttempts"], letter["lastHttpStatusCode"]) == (1, 413)
    assert private.rotations(account) == ["key1"]


async def test_finding_is_revoked_after_its_message_became_poison(private: Deployment) -> None:
    """Storage refused the app while the message was tried five times."""
    account = await private.account()
    found = reported(account_sas(account.name, account.keys["key1"]))
    outage = Fault(match=".table.core.windows.net", effect=Effect.STATUS, status=403, times=None)
    private.cloud.faults.add(outage)
    before = await moved_to_poison(private)

    await private.publish(event_of(found))
    await eventually(lambda: moved_to_poison(private), lambda moved: moved > before)
    private.cloud.faults.clear()
    await private.settled(found.fingerprint, until=is_closed)

    assert private.rotations(account) == ["key1"]


async def test_message_that_is_no_event_is_kept_and_reported(private: Deployment) -> None:
    text = base64.b64encode(json.dumps({"hello": "sig=leaked"}).encode()).decode()
    async with queue(private, "findings") as findings:
        await findings.send_message(text)

    async def recorded() -> Revocation | None:
        failed = await private.in_state(State.FAILED)
        return next((one for one in failed if "A message in queue findings" in one.detail), None)

    record = await eventually(recorded, lambda one: one is not None)

    assert record is not None
    assert record.reason is Reason.CRASHED
    assert "A message in queue findings" in record.detail
    assert "leaked" not in record.detail


async def dead_letters(of: Deployment) -> list[str]:
    """The names of the blobs that Event Grid has written."""
    url = f"https://{STATE_ACCOUNT}.blob.core.windows.net"
    async with ContainerClient(url, "dead-letters", credential=Developer(of.cloud), **of.options) as container:
        return [blob.name async for blob in container.list_blobs() if not blob.name.startswith("kept/")]


async def moved_to_poison(of: Deployment) -> int:
    """How many messages were put into the poison queue."""
    return len([sent for sent in of.requests("/findings-poison/messages") if sent.startswith("POST")])


async def run_now(of: Deployment, function: str) -> None:
    """Run a timer's function, as the platform's master key may."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        headers = {"x-functions-key": MASTER_KEY}
        url = f"{of.cloud.hosts[0]}/admin/functions/{function}"
        answer = await client.post(url, json={"input": ""}, headers=headers)
    assert answer.status_code == 202
