"""From a published event to a closed record, for every kind of leak that an account key signed."""

from datetime import UTC, datetime
from functools import partial

import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent
from azure.storage.blob.aio import BlobServiceClient

from shared.domain import report as findings
from shared.domain.execution import Outcome
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from tests.support.deployment import OWNER, Deployment, eventually
from tests.support.leaks import LEAKS, Leak, account_sas


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.__name__)
@pytest.mark.parametrize("key", ["key1", "key2"])
async def test_leak_ends_closed_with_its_key_regenerated_once(deployment: Deployment, leak: Leak, key: str) -> None:
    account = await deployment.account()

    [fingerprint] = await deployment.report(leak(account.name, account.keys[key]))
    record = await deployment.settled(fingerprint)

    assert record.state is State.CLOSED, record.detail
    assert deployment.rotations(account) == [key]
    assert record.verification is not None
    assert record.verification.outcome is Outcome.PROVEN


async def test_leaked_token_is_refused_and_the_other_key_works(deployment: Deployment) -> None:
    account = await deployment.account()
    leaked = account_sas(account.name, account.keys["key2"])

    [fingerprint] = await deployment.report(leaked)
    await deployment.settled(fingerprint, until=lambda record: record.execution is not None)

    with pytest.raises(HttpResponseError) as refused:
        await _containers(deployment, leaked)
    assert (refused.value.status_code, refused.value.error_code) == (403, "AuthenticationFailed")  # type: ignore[attr-defined]
    assert await _containers(deployment, account_sas(account.name, account.keys["key1"])) == []


async def test_incident_and_mail_name_the_account_and_the_owner_is_notified_once(deployment: Deployment) -> None:
    account = await deployment.account()

    [fingerprint] = await deployment.report(account_sas(account.name, account.keys["key1"]))
    await deployment.settled(fingerprint)
    await deployment.settled(fingerprint, until=lambda r: r.filed is not None and r.filed.state is State.CLOSED)

    incident = deployment.incident(fingerprint)
    [mail] = deployment.mails(account)
    assert (incident["Account"], incident["Key"], incident["Status"]) == (account.name, "key1", "closed")
    assert (mail.to, mail.cc) == ((OWNER,), ("security@contoso.com",))


async def test_event_grid_schema_report_revokes_key(deployment: Deployment) -> None:
    account = await deployment.account()
    leaked = account_sas(account.name, account.keys["key2"])
    event = EventGridEvent(
        subject="tests", event_type=findings.REPORTED, data={"secret": leaked, "source": "test"}, data_version="1"
    )

    await deployment.publish(event)
    [reported] = findings.in_text(leaked, source="test", url=None, detected_at=datetime.now(UTC))
    record = await deployment.settled(reported.finding.fingerprint)

    assert record.state is State.CLOSED, record.detail
    assert deployment.rotations(account) == ["key2"]


async def test_twenty_reports_on_two_hosts_are_one_rotation_one_incident_and_one_mail(
    deployment: Deployment,
) -> None:
    account = await deployment.account()
    leaked = account_sas(account.name, account.keys["key2"])
    [reported] = findings.in_text(leaked, source="test", url=None, detected_at=datetime.now(UTC))

    await deployment.publish(
        *(
            CloudEvent(source="/tests", type=findings.REPORTED, id=f"copy-{number}", data=reported.finding.to_data())
            for number in range(20)
        )
    )
    record = await deployment.settled(reported.finding.fingerprint)

    assert record.state is State.CLOSED, record.detail
    assert deployment.rotations(account) == ["key2"]
    assert deployment.incident(reported.finding.fingerprint)["Account"] == account.name
    assert len(deployment.mails(account)) == 1


async def test_missing_right_is_a_failure_with_instructions(deployment: Deployment) -> None:
    account = await deployment.account()
    account.locks.append("ReadOnly")

    [fingerprint] = await deployment.report(account_sas(account.name, account.keys["key2"]))
    record = await deployment.settled(fingerprint, until=lambda r: r.state is State.FAILED and bool(r.notifications))

    assert record.reason is Reason.BLOCKED
    assert "lock" in record.detail
    assert deployment.rotations(account) == []
    status = await eventually(partial(_shared_status, deployment, record), lambda one: one == "failed")
    assert status == "failed"


async def _shared_status(deployment: Deployment, record: Revocation) -> object:
    """The status of its incident, which a timer renews where other findings of its kind are settled."""
    return deployment.shared_incident(record)["Status"]


async def _containers(deployment: Deployment, url: str) -> list[str]:
    endpoint, _, query = url.partition("/?")
    async with BlobServiceClient(endpoint, credential=query, **deployment.options) as client:
        return [container.name async for container in client.list_containers()]
