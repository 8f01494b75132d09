"""A container, a queue, a table and a file share with stored access policies, created and used with the SDKs."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.data.tables import TableAccessPolicy, generate_table_sas
from azure.data.tables.aio import TableClient
from azure.storage.blob import AccessPolicy as BlobPolicy
from azure.storage.blob import PublicAccess, generate_container_sas
from azure.storage.blob.aio import ContainerClient
from azure.storage.fileshare import AccessPolicy as SharePolicy
from azure.storage.fileshare import generate_share_sas
from azure.storage.fileshare.aio import ShareClient, ShareFileClient
from azure.storage.queue import AccessPolicy as QueuePolicy
from azure.storage.queue import generate_queue_sas
from azure.storage.queue.aio import QueueClient

from local.tenant.model import Account
from tests.support.deployment import Deployment

POLICIES = ("partners", "suppliers")
REFUSED = (403, "AuthenticationFailed")


def _end() -> datetime:
    return datetime.now(UTC) + timedelta(days=30)


@dataclass(frozen=True)
class Place(ABC):
    """One resource of an account, with the policies POLICIES."""

    deployment: Deployment
    account: Account
    name: str

    @abstractmethod
    async def make(self) -> None: ...

    @abstractmethod
    def url(self, *, policy: str | None, key: str = "key1") -> str:
        """Return a URL with a SAS of a policy; without one, with an ad hoc SAS."""

    @abstractmethod
    async def use(self, url: str) -> None: ...

    @abstractmethod
    async def policies(self) -> dict[str, datetime | None]:
        """Return the expiry of each policy, by id."""

    async def answer(self, url: str) -> tuple[int | None, str | None]:
        """Use `url`; return status and code of the error, (None, None) if it succeeds."""
        try:
            await self.use(url)
        except HttpResponseError as error:
            code = getattr(error, "error_code", None)
            return error.status_code, getattr(code, "value", code)
        return None, None


class Container(Place):
    def _client(self) -> ContainerClient:
        endpoint = f"https://{self.account.name}.blob.core.windows.net"
        return ContainerClient(endpoint, self.name, credential=self.account.keys["key1"], **self.deployment.options)

    async def make(self) -> None:
        async with self._client() as client:
            await client.create_container()
            policies = {policy: BlobPolicy(permission="rl", expiry=_end()) for policy in POLICIES}
            await client.set_container_access_policy(policies, public_access=PublicAccess.BLOB)

    def url(self, *, policy: str | None, key: str = "key1") -> str:
        options = {"policy_id": policy} if policy else {"permission": "rl", "expiry": _end()}
        query = generate_container_sas(self.account.name, self.name, account_key=self.account.keys[key], **options)
        return f"https://{self.account.name}.blob.core.windows.net/{self.name}?{query}"

    async def use(self, url: str) -> None:
        async with ContainerClient.from_container_url(url, **self.deployment.options) as client:
            [blob async for blob in client.list_blobs()]

    async def policies(self) -> dict[str, datetime | None]:
        async with self._client() as client:
            acl = await client.get_container_access_policy()
        assert acl["public_access"] == "blob"
        return {item.id: item.access_policy and item.access_policy.expiry for item in acl["signed_identifiers"]}


class Queue(Place):
    def _client(self) -> QueueClient:
        endpoint = f"https://{self.account.name}.queue.core.windows.net"
        return QueueClient(endpoint, self.name, credential=self.account.keys["key1"], **self.deployment.options)

    async def make(self) -> None:
        async with self._client() as client:
            await client.create_queue()
            policies = {policy: QueuePolicy(permission="r", expiry=_end()) for policy in POLICIES}
            await client.set_queue_access_policy(policies)

    def url(self, *, policy: str | None, key: str = "key1") -> str:
        options = {"policy_id": policy} if policy else {"permission": "r", "expiry": _end()}
        query = generate_queue_sas(self.account.name, self.name, self.account.keys[key], **options)
        return f"https://{self.account.name}.queue.core.windows.net/{self.name}?{query}"

    async def use(self, url: str) -> None:
        async with QueueClient.from_queue_url(url, **self.deployment.options) as client:
            await client.peek_messages()

    async def policies(self) -> dict[str, datetime | None]:
        async with self._client() as client:
            acl = await client.get_queue_access_policy()
        return {name: policy and policy.expiry for name, policy in acl.items()}


class Table(Place):
    def _client(self) -> TableClient:
        signer = AzureNamedKeyCredential(self.account.name, self.account.keys["key1"])
        endpoint = f"https://{self.account.name}.table.core.windows.net"
        return TableClient(endpoint, self.name, credential=signer, **self.deployment.options)

    async def make(self) -> None:
        async with self._client() as client:
            await client.create_table()
            policies = {policy: TableAccessPolicy(permission="r", expiry=_end()) for policy in POLICIES}
            await client.set_table_access_policy(policies)

    def url(self, *, policy: str | None, key: str = "key1") -> str:
        options = {"policy_id": policy} if policy else {"permission": "r", "expiry": _end()}
        signer = AzureNamedKeyCredential(self.account.name, self.account.keys[key])
        query = generate_table_sas(signer, self.name, **options)
        return f"https://{self.account.name}.table.core.windows.net/{self.name}?{query}"

    async def use(self, url: str) -> None:
        async with TableClient.from_table_url(url, **self.deployment.options) as client:
            [entity async for entity in client.list_entities()]

    async def policies(self) -> dict[str, datetime | None]:
        async with self._client() as client:
            acl = await client.get_table_access_policy()
        return {name: policy and policy.expiry for name, policy in acl.items()}


class Share(Place):
    """A file share. The local cloud has no files: a valid token gets 404 for a file."""

    def _client(self) -> ShareClient:
        endpoint = f"https://{self.account.name}.file.core.windows.net"
        return ShareClient(endpoint, self.name, credential=self.account.keys["key1"], **self.deployment.options)

    async def make(self) -> None:
        async with self._client() as client:
            await client.create_share()
            policies = {policy: SharePolicy(permission="r", expiry=_end()) for policy in POLICIES}
            await client.set_share_access_policy(policies)

    def url(self, *, policy: str | None, key: str = "key1") -> str:
        options = {"policy_id": policy} if policy else {"permission": "r", "expiry": _end()}
        query = generate_share_sas(self.account.name, self.name, self.account.keys[key], **options)
        return f"https://{self.account.name}.file.core.windows.net/{self.name}/readme.txt?{query}"

    async def use(self, url: str) -> None:
        async with ShareFileClient.from_file_url(url, **self.deployment.options) as client:
            try:
                await client.get_file_properties()
            except ResourceNotFoundError:
                return

    async def policies(self) -> dict[str, datetime | None]:
        async with self._client() as client:
            acl = await client.get_share_access_policy()
        return {item.id: item.access_policy and item.access_policy.expiry for item in acl["signed_identifiers"]}


PLACES = {"container": Container, "queue": Queue, "table": Table, "share": Share}
