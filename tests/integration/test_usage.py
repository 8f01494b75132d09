"""Who used a leak: asked of the storage logs once people hear of it, and once more when the logs have caught up."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas
from azure.storage.blob.aio import BlobServiceClient

from local.cloud.cloud import LocalCloud
from local.network.faults import Effect
from local.tenant.model import SECURITY_MAILBOX, Account, new_storage_key
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.persistence.queues import Message
from tests.support.cloud_clients import browser, options
from tests.support.driver import OWNER, Driver, found, report

LOGS = "api.loganalytics.io"
LOGGED = ("StorageRead", "StorageWrite", "StorageDelete")


@pytest.fixture
async def account(driver: Driver) -> Account:
    made = await driver.account(tags={"sasquash-owner": OWNER})
    made.logged["blob"] = LOGGED
    return made


@pytest.fixture
async def client(cloud: LocalCloud) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(cloud) as opened:
        yield opened


def token(account: Account) -> str:
    """The query of a leaked account SAS that may do everything."""
    return generate_account_sas(
        account.name,
        account.keys["key1"],
        resource_types=ResourceTypes(service=True, container=True, object=True),
        permission=AccountSasPermissions(read=True, write=True, delete=True, list=True, create=True),
        expiry=datetime.now(UTC) + timedelta(days=30),
    )


async def attacked(account: Account, cloud: LocalCloud, client: httpx.AsyncClient, leaked: str) -> None:
    """What an attacker does with it: two reads, one write of a model, one refusal."""
    url = f"https://{account.name}.blob.core.windows.net"
    async with BlobServiceClient(url, credential=account.keys["key2"], **options(cloud)) as service:
        await service.create_container("models")
        await service.get_blob_client("models", "model.ckpt").upload_blob(b"x" * 5000)
    headers = {"user-agent": "evil/1.0"}
    for _ in range(2):
        assert (await client.get(f"{url}/models/model.ckpt?{leaked}", headers=headers)).status_code == 200
    put = {"x-ms-blob-type": "BlockBlob", **headers}
    answer = await client.put(f"{url}/models/model.ckpt?{leaked}", content=b"pickle", headers=put)
    assert answer.status_code == 201
    assert (await client.get(f"{url}/models/nothing?{leaked}", headers=headers)).status_code == 404


async def revoked(driver: Driver, account: Account, leaked: str) -> Revocation:
    finding = found(f"https://{account.name}.blob.core.windows.net/?{leaked}")
    await driver.app().fast_path.ingest.receive(report(finding))
    await driver.app().background.follow_up.run(Message(finding.fingerprint))
    return await driver.record(finding.fingerprint)


async def test_numbers_are_what_the_attacker_really_did(
    driver: Driver, account: Account, cloud: LocalCloud, client: httpx.AsyncClient
) -> None:
    leaked = token(account)
    await attacked(account, cloud, client, leaked)

    record = await revoked(driver, account, leaked)

    usage = record.usage
    assert record.state is State.CLOSED
    assert usage is not None
    assert (usage.requests, usage.served, usage.served_after) == (4, 3, 0)
    assert (usage.writes, usage.deletes, usage.bytes_out) == (1, 0, 10_000)
    assert [(o.name, o.requests, o.written) for o in usage.objects] == [(f"/{account.name}/models/model.ckpt", 3, 1)]
    assert [(c.agent, c.requests) for c in usage.clients] == [("evil/1.0", 4)]
    assert usage.first is not None
    assert usage.last is not None
    assert usage.first < usage.last


async def test_mail_and_incident_show_usage_and_highlight_files_that_run(
    driver: Driver, account: Account, cloud: LocalCloud, client: httpx.AsyncClient
) -> None:
    leaked = token(account)
    await attacked(account, cloud, client, leaked)

    record = await revoked(driver, account, leaked)

    [mail] = driver.mails(account.name)
    [incident] = driver.incidents(record.fingerprint)
    for text in (mail.body, incident.fields["Summary"]):
        assert "Used 4 times" in text
        assert "evil/1.0" in text
        assert "FILES THAT RUN WHEN OPENED WERE WRITTEN" in text


async def test_other_clients_of_the_key_are_named_before_the_decision(
    driver: Driver, account: Account, cloud: LocalCloud, client: httpx.AsyncClient
) -> None:
    url = f"https://{account.name}.blob.core.windows.net"
    leaked = token(account)
    async with BlobServiceClient(
        url, credential=account.keys["key1"], user_agent="billing", user_agent_overwrite=True, **options(cloud)
    ) as service:
        await service.create_container("invoices")
    finding = found(f"{url}/?{leaked}")
    await driver.app(mode="approve").fast_path.ingest.receive(report(finding))
    await driver.app(mode="approve").background.follow_up.run(Message(finding.fingerprint))

    record = await driver.record(finding.fingerprint)
    [mail] = driver.mails(account.name)

    assert record.state is State.AWAITING_APPROVAL
    assert record.usage is not None
    [other] = record.usage.others or ()
    assert (other.agent.split()[0], other.requests) == ("billing", 1)
    assert "Other clients of key1 in the last 90 days: " in mail.body


async def test_account_without_logs_is_reported_with_how_to_turn_them_on(driver: Driver) -> None:
    account = await driver.account(tags={"sasquash-owner": OWNER})

    record = await revoked(driver, account, token(account))

    assert record.usage is not None
    assert "does not log requests to its" in record.usage.unknown
    [mail] = driver.mails(account.name)
    assert "Usage is unknown" in mail.body
    assert driver.requests(LOGS) == []


async def test_unused_leak_is_reported_as_unused(driver: Driver, account: Account) -> None:
    record = await revoked(driver, account, token(account))

    assert record.usage is not None
    assert (record.usage.requests, record.usage.unknown) == (0, "")
    [mail] = driver.mails(account.name)
    assert "No use in the last 90 days" in mail.body


async def test_logs_are_queried_again_after_their_lag_without_another_mail(
    driver: Driver, account: Account, cloud: LocalCloud, client: httpx.AsyncClient
) -> None:
    leaked = token(account)
    record = await revoked(driver, account, leaked)
    await attacked(account, cloud, client, token(account))  # by a new key: not this leak's
    first = record.usage
    assert first is not None
    [*_, (delay, _)] = driver.messages("follow-up", record.fingerprint)

    driver.clock.advance(minutes=21)
    await driver.app().background.follow_up.run(Message(record.fingerprint))
    again = await driver.record(record.fingerprint)

    assert 19 * 60 < delay <= 20 * 60
    assert again.usage is not None
    assert again.usage.at > first.at
    assert len(driver.mails(account.name)) == 1
    asked = len(driver.requests(LOGS))
    await driver.app().background.follow_up.run(Message(record.fingerprint))
    assert len(driver.requests(LOGS)) == asked


async def test_use_that_the_logs_show_later_is_mailed_where_mails_are_the_incident(
    driver: Driver, account: Account, client: httpx.AsyncClient
) -> None:
    leaked = token(account)
    app = driver.app(incidents="mail")
    finding = found(f"https://{account.name}.blob.core.windows.net/?{leaked}")
    await app.fast_path.ingest.receive(report(finding))
    await app.background.follow_up.run(Message(finding.fingerprint))
    url = f"https://{account.name}.blob.core.windows.net/models/model.ckpt?{leaked}"
    assert (await client.get(url)).status_code == 403
    driver.clock.advance(minutes=21)

    await app.background.follow_up.run(Message(finding.fingerprint))

    [_, later] = driver.mails(account.name)
    assert (later.to, "New since the last mail" in later.body) == ((SECURITY_MAILBOX,), True)


async def test_later_use_is_mailed_after_a_mail_that_failed(
    driver: Driver, account: Account, client: httpx.AsyncClient
) -> None:
    leaked = token(account)
    app = driver.app(incidents="mail")
    finding = found(f"https://{account.name}.blob.core.windows.net/?{leaked}")
    await app.fast_path.ingest.receive(report(finding))
    await app.background.follow_up.run(Message(finding.fingerprint))
    await client.get(f"https://{account.name}.blob.core.windows.net/models/model.ckpt?{leaked}")
    driver.clock.advance(minutes=21)
    driver.fault("sendMail", status=403)
    await app.background.follow_up.run(Message(finding.fingerprint))
    assert len(driver.mails(account.name)) == 1

    await app.background.follow_up.run(Message(finding.fingerprint))

    assert "New since the last mail" in driver.mails(account.name)[-1].body


@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
async def test_unreachable_logs_do_not_prevent_notifications(
    driver: Driver, account: Account, effect: Effect
) -> None:
    driver.fault(LOGS, effect, times=99)

    record = await revoked(driver, account, token(account))

    assert (record.usage, record.filed is not None) == (None, True)
    assert len(driver.mails(account.name)) == 1


async def test_missing_permission_is_reported_and_not_retried_forever(driver: Driver, account: Account) -> None:
    driver.fault(LOGS, status=403, times=99)

    record = await revoked(driver, account, token(account))

    assert record.usage is not None
    assert "docs/rights.md" in record.usage.unknown
    assert record.state is State.CLOSED


async def test_a_leak_that_nobody_confirmed_is_not_asked_about(driver: Driver, account: Account) -> None:
    elsewhere = replace(account, keys={"key1": new_storage_key()})
    finding = found(f"https://{account.name}.blob.core.windows.net/?{token(elsewhere)}")
    await driver.app().fast_path.ingest.receive(report(finding))
    await driver.app().background.follow_up.run(Message(finding.fingerprint))

    assert (await driver.record(finding.fingerprint)).usage is None
