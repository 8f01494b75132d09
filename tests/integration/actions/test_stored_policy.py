"""The stored access policy action against the local cloud, with policies and leaks made by the published clients."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables import TableAccessPolicy, generate_table_sas
from azure.mgmt.storage.aio import StorageManagementClient
from azure.storage.blob import AccessPolicy as BlobPolicy
from azure.storage.blob import generate_container_sas
from azure.storage.fileshare import AccessPolicy as SharePolicy
from azure.storage.fileshare import generate_share_sas
from azure.storage.queue import AccessPolicy as QueuePolicy
from azure.storage.queue import generate_queue_sas

from local.cloud.cloud import LocalCloud
from local.tenant.model import SUBSCRIPTION_ID, Account
from shared.actions.account_key import AccountKeyAction
from shared.actions.acl.lists import PolicyLists
from shared.actions.action import Job
from shared.actions.stored_policy import StoredPolicyAction
from shared.actions.verification import Verifier
from shared.domain.account import AccountFacts, AccountKey, PolicyReading, PolicyState, Via
from shared.domain.execution import Execution, Outcome, Plan
from shared.domain.retired_keys import RetiredKeys
from shared.domain.target import ActionKind, PolicyTarget
from shared.sas import Service
from tests.support import samples
from tests.support.cloud_clients import browser, new_account, options
from tests.support.jobs import job
from tests.support.samples import SERVICES
from tests.support.storage_clients import Clients, Token

ENDS = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
OTHER = "partner"
LEAKED = "leaked"
# What a leak of the policy asks for: something that is not there, but for a queue's count of messages.
ASKED = {
    Service.BLOB: "models/none",
    Service.FILE: "models/none",
    Service.QUEUE: "models?comp=metadata",
    Service.TABLE: "models(PartitionKey='a',RowKey='b')",
}
ACCEPT = {"Accept": "application/json;odata=nometadata"}  # without which the table service refuses


@dataclass
class Setting:
    """An account with one resource "models", whose two policies both have a SAS out there."""

    account: Account
    service: Service
    facts: AccountFacts
    http: httpx.AsyncClient

    @property
    def target(self) -> PolicyTarget:
        return PolicyTarget(self.service, "models", LEAKED)

    @property
    def key(self) -> AccountKey:
        return AccountKey(self.account.keys["key1"], None)

    async def status(self, policy: str) -> int:
        """What a SAS of `policy`, as Azure's own clients make it, is answered."""
        asked = ASKED[self.service]
        url = f"https://{self.account.name}.{self.service}.core.windows.net/{asked}{'&' if '?' in asked else '?'}"
        answer = await self.http.get(f"{url}{sas(self.account, self.service, policy)}", headers=ACCEPT)
        return answer.status_code


def sas(account: Account, service: Service, policy: str) -> str:
    key = account.keys["key1"]
    match service:
        case Service.BLOB:
            return generate_container_sas(account.name, "models", account_key=key, policy_id=policy)
        case Service.FILE:
            return generate_share_sas(account.name, "models", key, policy_id=policy)
        case Service.QUEUE:
            return generate_queue_sas(account.name, "models", key, policy_id=policy)
        case _:
            signer = AzureNamedKeyCredential(account.name, key)
            return generate_table_sas(signer, "models", policy_id=policy)


async def make(clients: Clients, account: Account, service: Service) -> None:
    key, rights = account.keys["key1"], {"permission": "r", "expiry": ENDS}
    match service:
        case Service.BLOB:
            container = await (await clients.blob(account, key)).create_container("models")
            await container.set_container_access_policy(
                {LEAKED: BlobPolicy(**rights), OTHER: BlobPolicy(**rights)}, public_access="blob"
            )
        case Service.FILE:
            share = await (await clients.file(account, key)).create_share("models")
            await share.set_share_access_policy({LEAKED: SharePolicy(**rights), OTHER: SharePolicy(**rights)})
        case Service.QUEUE:
            queue = await (await clients.queue(account, key)).create_queue("models")
            await queue.set_queue_access_policy({LEAKED: QueuePolicy(**rights), OTHER: QueuePolicy(**rights)})
        case _:
            tables = await clients.table(account, AzureNamedKeyCredential(account.name, key))
            table = await tables.create_table("models")
            await table.set_table_access_policy(
                {LEAKED: TableAccessPolicy(**rights), OTHER: TableAccessPolicy(**rights)}
            )


def facts(account: Account, *, tags: dict[str, str] | None = None) -> AccountFacts:
    return AccountFacts(
        id=account.id,
        name=account.name,
        subscription=SUBSCRIPTION_ID,
        resource_group=account.resource_group,
        tags=tags or {},
        endpoints={s: f"https://{account.name}.{s}.core.windows.net/" for s in SERVICES},
        secondary_endpoints={},
    )


@pytest.fixture(params=SERVICES)
async def setting(cloud: LocalCloud, request: pytest.FixtureRequest) -> AsyncIterator[Setting]:
    account = await new_account(cloud, allowBlobPublicAccess=True)
    async with AsyncExitStack() as stack, browser(cloud) as http:
        await make(Clients(cloud, stack), account, request.param)
        yield Setting(account, request.param, facts(account), http)


class Proxied(AioHttpTransport):  # type: ignore[misc]  # untyped
    """A transport that finds its way into the local cloud."""

    def __init__(self, cloud: LocalCloud) -> None:
        super().__init__(connection_verify=str(cloud.authority_file))
        self._proxy = f"http://127.0.0.1:{cloud.proxy_port}"

    async def send(self, request: Any, **keywords: Any) -> Any:
        return await super().send(request, proxy=self._proxy, **keywords)


@pytest.fixture
async def action(cloud: LocalCloud) -> AsyncIterator[StoredPolicyAction]:
    def transport() -> Proxied:
        return Proxied(cloud)

    def clock() -> datetime:
        return datetime.now(UTC)

    def new_id() -> str:
        return str(uuid4())

    credential = Token(cloud, "responder", audience="https://management.azure.com")
    async with StorageManagementClient(credential, SUBSCRIPTION_ID, **options(cloud)) as client:
        verifier = Verifier(transport, clock=clock, new_id=new_id)
        account_key = AccountKeyAction(
            lambda _: client, verifier, retired=RetiredKeys(clock=clock), clock=clock, new_id=new_id
        )
        lists = PolicyLists(lambda _: client, transport, clock=clock, new_id=new_id)
        yield StoredPolicyAction(lists, verifier, account_key.keys, clock=clock, new_id=new_id)


async def execution(action: StoredPolicyAction, setting: Setting, account: AccountFacts | None = None) -> Execution:
    account = account or setting.facts
    read = await action.read(account, setting.target, key=setting.key)
    planned = job_for(setting, account, read)
    return (await action.execute(planned, await action.mint(planned))).execution


def job_for(setting: Setting, account: AccountFacts, read: PolicyReading) -> Job:
    return job(plan_for(account, read), account, keys={"key1": setting.key}, policies=[read])


def plan_for(account: AccountFacts, read: PolicyReading) -> Plan:
    return Plan(
        action=ActionKind.STORED_POLICY,
        account_id=account.id,
        target=str(read.target),
        version=read.version,
        reason="It leaked.",
        steps=(),
        impact=(),
        digest="d" * 64,
    )


async def test_leaked_policy_is_revoked_and_the_other_stays_in_force(
    action: StoredPolicyAction, setting: Setting
) -> None:
    before = [await setting.status(policy) for policy in (LEAKED, OTHER)]

    await execution(action, setting)

    lives = 200 if setting.service is Service.QUEUE else 404
    assert before == [lives, lives]
    assert [await setting.status(policy) for policy in (LEAKED, OTHER)] == [403, lives]


async def test_revocation_is_verified(action: StoredPolicyAction, setting: Setting) -> None:
    verification = await action.verify(
        await execution(action, setting), setting.facts, samples.revocation(key_name="key1")
    )

    assert verification.outcome is Outcome.PROVEN, verification.evidence


async def test_policy_is_deleted_where_the_tag_asks_for_it(action: StoredPolicyAction, setting: Setting) -> None:
    tagged = facts(setting.account, tags={"Sasquash-Policy-Removal": "delete"})

    done = await execution(action, setting, tagged)

    assert done.new_sha256 == ""
    assert (await action.read(tagged, setting.target, key=setting.key)).state is PolicyState.GONE
    assert await setting.status(LEAKED) == 403


async def test_policy_that_is_gone_is_buried(action: StoredPolicyAction, setting: Setting) -> None:
    other = PolicyTarget(setting.service, "models", "never-there")
    read = await action.read(setting.facts, other, key=setting.key)

    said = await action.bury(other, setting.facts, read, key=setting.key)

    assert said.startswith("A tombstone was left")
    again = await action.read(setting.facts, other, key=setting.key)
    assert (read.state, again.state) == (PolicyState.GONE, PolicyState.TOMBSTONE)


async def test_where_the_data_plane_is_closed_arm_is_the_way_or_there_is_none(
    action: StoredPolicyAction, setting: Setting
) -> None:
    open_ = dict(setting.account.properties)
    before = await action.read(setting.facts, setting.target, key=setting.key)
    setting.account.properties["publicNetworkAccess"] = "Disabled"
    read = await action.read(setting.facts, setting.target, key=setting.key)

    if setting.service in (Service.BLOB, Service.QUEUE):
        assert (read.state, read.detail != "") == (PolicyState.UNREACHABLE, True)
        return
    assert (read.state, read.via) == (PolicyState.LIVE, Via.ARM)
    await action.execute(job_for(setting, setting.facts, read), ())
    setting.account.properties = open_
    assert await setting.status(LEAKED) == 403
    assert await setting.status(OTHER) == 404
    assert before.permissions == read.permissions


async def test_container_stays_as_public_as_it_was(cloud: LocalCloud, action: StoredPolicyAction) -> None:
    account = await new_account(cloud, allowBlobPublicAccess=True)
    async with AsyncExitStack() as stack, browser(cloud) as http:
        clients = Clients(cloud, stack)
        await make(clients, account, Service.BLOB)
        await execution(action, Setting(account, Service.BLOB, facts(account), http))
        blob = await clients.blob(account, account.keys["key1"])
        properties = await blob.get_container_client("models").get_container_properties()

    assert properties["public_access"] == "blob"
