"""What stays exposed after a leak was revoked: checked once, and reported."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import AccessPolicy, PublicAccess
from azure.storage.blob.aio import BlobServiceClient

from local.cloud.cloud import LocalCloud
from local.network.faults import Effect
from local.tenant.model import SUBSCRIPTION_ID, Account, ActivityEvent
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.target import ActionKind
from shared.followup.investigation.other_policies import OtherPolicies
from shared.persistence.queues import Message
from tests.support import shares
from tests.support.cloud_clients import options
from tests.support.driver import OWNER, Driver, found, report
from tests.support.leaks import account_sas, blob_sas

WRITE = "Microsoft.Storage/storageAccounts/blobServices/containers/write"


@pytest.fixture
async def account(driver: Driver) -> Account:
    return await driver.account(tags={"sasquash-owner": OWNER})


def lines(record: Revocation) -> tuple[str, ...]:
    """What stays exposed, as plain text."""
    return tuple(str(line) for line in record.remains or ())


async def followed(driver: Driver, account: Account, text: str | None = None, **settings: str) -> Revocation:
    finding = found(text or account_sas(account.name, account.keys["key1"]))
    await driver.app(**settings).fast_path.ingest.receive(report(finding))
    await driver.app(**settings).background.follow_up.run(Message(finding.fingerprint))
    return await driver.record(finding.fingerprint)


async def containers(cloud: LocalCloud, account: Account, **levels: PublicAccess | None) -> None:
    url = f"https://{account.name}.blob.core.windows.net"
    async with BlobServiceClient(url, credential=account.keys["key2"], **options(cloud)) as service:
        for name, level in levels.items():
            await service.create_container(name, public_access=level)


async def test_a_public_container_is_named_the_leaked_one_first(
    driver: Driver, cloud: LocalCloud, account: Account
) -> None:
    await containers(cloud, account, archive=PublicAccess.CONTAINER, models=PublicAccess.BLOB, backups=None)

    record = await followed(driver, account, blob_sas(account.name, account.keys["key1"]))

    first, second, *_ = lines(record)
    assert first.startswith("Container models is public: anyone can read each blob whose name is known")
    assert second.startswith("Container archive is public: anyone can list and read it")
    assert "backups" not in str(lines(record))
    [mail] = driver.mails(account.name)
    assert "Container models is public" in mail.body
    assert "Container models is public" in driver.incidents(record.fingerprint)[0].fields["Summary"]


async def blob(cloud: LocalCloud, account: Account, container: str, name: str) -> None:
    url = f"https://{account.name}.blob.core.windows.net"
    async with BlobServiceClient(url, credential=account.keys["key2"], **options(cloud)) as service:
        await service.get_blob_client(container, name).upload_blob(b"weights")


OPEN = "STILL EXPOSED"


async def test_publicly_readable_leaked_path_is_reported_first(
    driver: Driver, cloud: LocalCloud, account: Account
) -> None:
    await containers(cloud, account, models=PublicAccess.BLOB)
    await blob(cloud, account, "models", "a b/model.ckpt")

    record = await followed(driver, account, blob_sas(account.name, account.keys["key1"]))

    assert lines(record)[0].startswith(f"{OPEN}: models/a b/model.ckpt can be read")


async def test_a_leaked_container_that_anybody_may_list_is_still_open(
    driver: Driver, cloud: LocalCloud, account: Account
) -> None:
    await containers(cloud, account, models=PublicAccess.CONTAINER)
    leak = account_sas(account.name, account.keys["key1"]).replace("/?", "/models?")

    assert f"{OPEN}: models can be read" in str(lines(await followed(driver, account, leak)))


@pytest.mark.parametrize("path", ["models/model.ckpt", "models", "models/none.ckpt", "models/../open/x", "a//b"])
async def test_a_leaked_path_that_does_not_answer_is_not_called_open(
    driver: Driver, cloud: LocalCloud, account: Account, path: str
) -> None:
    await containers(cloud, account, models=None, open=PublicAccess.BLOB)
    await blob(cloud, account, "models", "model.ckpt")
    await blob(cloud, account, "open", "x")
    leak = account_sas(account.name, account.keys["key1"]).replace("/?", f"/{path}?")

    assert OPEN not in str(lines(await followed(driver, account, leak)))


async def test_a_leaked_path_is_asked_for_without_any_credential(
    driver: Driver, cloud: LocalCloud, account: Account
) -> None:
    await containers(cloud, account, models=PublicAccess.BLOB)
    await followed(driver, account, blob_sas(account.name, account.keys["key1"]))

    [asked] = [r for r in driver.requests("model.ckpt") if r.method == "HEAD" and "sig=" not in r.url]
    assert asked.identity is None


async def test_a_leaked_path_that_nobody_can_ask_for_holds_nothing_up(
    driver: Driver, cloud: LocalCloud, account: Account
) -> None:
    await containers(cloud, account, models=PublicAccess.BLOB)
    driver.fault("HEAD https://" + account.name, Effect.RESET, times=None)

    record = await followed(driver, account, blob_sas(account.name, account.keys["key1"]))

    assert lines(record)[0].startswith("Not checked whether models/a b/model.ckpt can be read")
    assert record.state is State.CLOSED


async def test_other_policies_of_the_leaked_share_are_named_with_what_they_give(
    driver: Driver, account: Account
) -> None:
    await shares.under_policies(driver, account, "partners", "suppliers", "auditors")

    record = await followed(driver, account, shares.leak(account))

    [said] = [line for line in lines(record) if "access to" in line]
    end = datetime.now(UTC) + timedelta(days=30)
    assert said.startswith(
        f"2 other stored access policies still allow access to file share homes: suppliers (rw, until {end:%Y-%m-%d}"
    )
    assert "Tokens issued under one still work." in said
    assert f"az storage share policy list --subscription {SUBSCRIPTION_ID} --account-name {account.name}" in said
    assert "partners" not in said


async def test_policies_of_the_leaked_container_live_on_by_the_other_key(
    driver: Driver, cloud: LocalCloud, account: Account
) -> None:
    await containers(cloud, account, models=None)
    await policies(cloud, account, "models", forever=None, over=datetime(2020, 1, 1, tzinfo=UTC))

    record = await followed(driver, account, blob_sas(account.name, account.keys["key1"]))

    [said] = [line for line in lines(record) if "access to" in line]
    assert said.startswith(
        "Another stored access policy still allows access to container models: forever (r, no expiry)."
    )
    assert "Tokens issued under one and signed by key2 still work." in said


async def policies(cloud: LocalCloud, account: Account, container: str, **ends: datetime | None) -> None:
    url = f"https://{account.name}.blob.core.windows.net"
    async with BlobServiceClient(url, credential=account.keys["key2"], **options(cloud)) as service:
        wanted = {name: AccessPolicy(permission="r", expiry=end) for name, end in ends.items()}
        await service.get_container_client(container).set_container_access_policy(wanted)


@pytest.mark.parametrize("there", [True, False], ids=["without policies", "that is not there"])
async def test_a_container_where_no_policy_lets_tokens_in_is_not_spoken_of(
    driver: Driver, cloud: LocalCloud, account: Account, *, there: bool
) -> None:
    await containers(cloud, account, **({"models": None} if there else {"another": None}))

    record = await followed(driver, account, blob_sas(account.name, account.keys["key1"]))

    assert "olicies of container" not in str(lines(record))
    assert "access to" not in str(lines(record))


async def test_policies_that_cannot_be_reached_are_said_to_be_so(
    driver: Driver, cloud: LocalCloud, account: Account
) -> None:
    await containers(cloud, account, models=None)
    driver.fault("restype=container&comp=acl", status=403, code="AuthorizationFailure", times=None)

    record = await followed(driver, account, blob_sas(account.name, account.keys["key1"]))

    assert "Not checked: other stored access policies of container models. " in str(lines(record))
    assert record.state is State.CLOSED


async def test_policies_of_a_share_are_read_through_arm_where_the_data_plane_is_shut(
    driver: Driver, account: Account
) -> None:
    await shares.under_policies(driver, account, "partners", "suppliers")
    driver.fault("restype=share&comp=acl", status=403, code="AuthorizationFailure", times=None)

    record = await followed(driver, account, shares.leak(account))

    assert "access to file share homes: suppliers" in str(lines(record))


@pytest.mark.parametrize("name", ["any", "-"])
async def test_no_policy_is_hidden_by_its_name(driver: Driver, account: Account, name: str) -> None:
    await shares.under_policies(driver, account, "partners", name)

    record = await followed(driver, account, shares.leak(account))

    assert f": {name} (rw" in str(lines(record))


async def test_a_policy_that_was_not_ended_is_named_although_the_leak_was_under_it(
    driver: Driver, account: Account
) -> None:
    """It could not be reached, so that the key was regenerated: tokens that the other key signed live on."""
    await shares.under_policies(driver, account, "partners")
    finding = found(shares.leak(account))
    app = driver.app()
    await app.fast_path.ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert record.execution is not None
    assert record.account is not None
    await shares.under_policies(driver, account, "partners", "suppliers")
    rotated = replace(record, execution=replace(record.execution, action=ActionKind.ACCOUNT_KEY, target="key1"))

    [said] = await OtherPolicies(app.fast_path.actions).of(rotated, record.account)

    assert "partners" in str(said)
    assert "signed by key2" in str(said)


async def test_a_policy_s_name_is_text_from_outside(driver: Driver, account: Account) -> None:
    await shares.under_policies(driver, account, "partners", "see https://evil.example/now", "run `curl x|sh`")

    record = await followed(driver, account, shares.leak(account))

    assert "https://evil" not in str(lines(record))
    [mail] = driver.mails(account.name)
    assert "curl x|sh" in mail.body
    assert "curl x|sh</code>" not in mail.body


async def test_a_static_website_is_named(driver: Driver, cloud: LocalCloud, account: Account) -> None:
    await containers(cloud, account, **{"$web": None})

    assert "$web" in str(lines(await followed(driver, account)))


async def test_many_public_containers_are_cut_with_their_number(
    driver: Driver, cloud: LocalCloud, account: Account
) -> None:
    await containers(cloud, account, **{f"open{n}": PublicAccess.BLOB for n in range(7)})

    record = await followed(driver, account)

    assert f"2 more containers of {account.name} are public." in lines(record)


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        ({}, "cannot be restored: versioning and soft delete are off."),
        ({"isVersioningEnabled": True}, "can be restored: earlier versions are kept"),
        ({"deleteRetentionPolicy": {"enabled": True, "days": 7}}, "deleted blobs are kept for 7 days"),
        (
            {"cors": {"corsRules": [{"allowedOrigins": ["*"]}]}},
            "CORS of the blob service allows every website",
        ),
    ],
    ids=["nothing", "versions", "soft delete", "cors"],
)
async def test_what_can_be_restored_is_said_and_that_cors_is_open(
    driver: Driver, account: Account, properties: dict[str, object], says: str
) -> None:
    account.blob_service |= properties

    assert says in str(lines(await followed(driver, account)))


async def test_who_opened_it_since_the_leak_is_named(driver: Driver, account: Account) -> None:
    now = datetime.now(UTC)
    events = (
        (now - timedelta(minutes=5), WRITE, "mallory@contoso.com", "Succeeded"),
        (now - timedelta(minutes=4), WRITE, "blocked@contoso.com", "Failed"),
        (now - timedelta(days=30), WRITE, "long-ago@contoso.com", "Succeeded"),
        (now, "Microsoft.Storage/storageAccounts/regeneratekey/action", "sasquash", "Succeeded"),
    )
    driver.cloud.model.activity += [ActivityEvent(at, account.id, *rest) for at, *rest in events]

    remains = str(lines(await followed(driver, account)))

    assert "storageAccounts/blobServices/containers/write by mallory@contoso.com at" in remains
    assert [name for name in ("blocked@", "long-ago@", "regeneratekey") if name in remains] == []


@pytest.mark.parametrize("call", ["blobServices/default/containers", "eventtypes/management/values"])
async def test_missing_permission_is_reported_and_the_rest_is_checked(
    driver: Driver, account: Account, call: str
) -> None:
    driver.fault(call, status=403, times=9)

    record = await followed(driver, account)

    assert "Not checked" in str(lines(record))
    assert "versioning and soft delete are off" in str(lines(record))
    assert record.state is State.CLOSED


async def test_unrevoked_leak_is_not_checked(driver: Driver, account: Account) -> None:
    record = await followed(driver, account, mode="approve")

    assert (record.state, record.remains) == (State.AWAITING_APPROVAL, None)
    assert driver.requests("blobServices/default/containers") == []
