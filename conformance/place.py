"""The test environment: a new resource group with temporary storage accounts, used as the signed-in account."""

import asyncio
import json
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.rest import HttpRequest
from azure.mgmt.storage.aio import StorageManagementClient
from azure.mgmt.storage.models import Sku, StorageAccountCreateParameters
from azure.storage.blob import (
    AccessPolicy,
    BlobSasPermissions,
    ContainerSasPermissions,
    generate_blob_sas,
    generate_container_sas,
)
from azure.storage.blob.aio import BlobServiceClient

from shared.cloud.data_plane import Answer, Transport, send

RESOURCE_MANAGER = "https://management.azure.com"
CONTAINER, BLOB = "models", "model.ckpt"
# By the default rules a read-only token of one resource is revoked without approval if it is valid for over a day.
VALID = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class TemporaryAccount:
    """A storage account with one blob in it."""

    id: str
    name: str
    group: str
    keys: dict[str, str] = field(repr=False)

    @property
    def endpoint(self) -> str:
        """The endpoint of its blob service."""
        return f"https://{self.name}.blob.core.windows.net"

    def url(self, query: str = "") -> str:
        """Return the URL of its blob."""
        return f"{self.endpoint}/{CONTAINER}/{BLOB}" + (f"?{query}" if query else "")

    def token(self, key: str = "key1") -> str:
        """Return the query of a SAS signed by one of its keys: read only, for three days."""
        return generate_blob_sas(
            self.name,
            CONTAINER,
            BLOB,
            account_key=self.keys[key],
            permission=BlobSasPermissions(read=True),
            expiry=datetime.now(UTC) + VALID,
        )


class Place:
    """A subscription with a resource group. Call `close` at the end."""

    def __init__(
        self,
        credential: AsyncTokenCredential,
        *,
        subscription: str,
        group: str,
        location: str,
        transport: Callable[[], Transport],
    ) -> None:
        self.credential = credential
        self.subscription = subscription
        self.group = group
        self.location = location
        self.transport = transport
        self.arm = StorageManagementClient(
            credential,
            subscription,
            base_url=RESOURCE_MANAGER,
            credential_scopes=[f"{RESOURCE_MANAGER}/.default"],
            transport=transport(),
        )

    async def account(self) -> TemporaryAccount:
        """Return a new storage account. Its keys open nothing that matters."""
        name = f"sasquash{secrets.token_hex(6)}"
        made = await self.arm.storage_accounts.begin_create(
            self.group,
            name,
            StorageAccountCreateParameters(sku=Sku(name="Standard_LRS"), kind="StorageV2", location=self.location),
        )
        account = await made.result()
        listed = await self.arm.storage_accounts.list_keys(self.group, name, expand=None)  # type: ignore[arg-type]
        keys = {str(key.key_name): str(key.value) for key in listed.keys_property or []}
        return await self.filled(TemporaryAccount(str(account.id), name, self.group, keys))

    async def filled(self, account: TemporaryAccount) -> TemporaryAccount:
        """Upload the blob to an account, and return the account."""
        async with self.blobs(account) as service:
            await service.create_container(CONTAINER)
            await service.get_blob_client(CONTAINER, BLOB).upload_blob(b"model")
        return account

    def blobs(self, account: TemporaryAccount) -> BlobServiceClient:
        """Return a client of its blob service, with its first key."""
        return BlobServiceClient(account.endpoint, credential=account.keys["key1"], transport=self.transport())

    async def delegated_url(self, account: TemporaryAccount) -> str:
        """Return the URL of the account's blob with a user delegation SAS: read only, for three days."""
        async with BlobServiceClient(
            account.endpoint, credential=self.credential, transport=self.transport()
        ) as service:
            start = datetime.now(UTC) - timedelta(minutes=1)
            key = await service.get_user_delegation_key(start, start + VALID)
        query = generate_blob_sas(
            account.name,
            CONTAINER,
            BLOB,
            user_delegation_key=key,
            permission=BlobSasPermissions(read=True),
            expiry=start + VALID,
        )
        return account.url(query)

    async def policy_url(self, account: TemporaryAccount, policy: str) -> str:
        """Create a stored access policy on the container; return the blob's URL with a SAS that uses it."""
        end = datetime.now(UTC) + VALID
        await self.set_policies(
            account, {policy: AccessPolicy(permission=ContainerSasPermissions(read=True), expiry=end)}
        )
        query = generate_container_sas(account.name, CONTAINER, account_key=account.keys["key1"], policy_id=policy)
        return account.url(query)

    async def set_policies(self, account: TemporaryAccount, policies: dict[str, AccessPolicy]) -> None:
        """Replace the stored access policies of the container."""
        async with self.blobs(account) as service:
            await service.get_container_client(CONTAINER).set_container_access_policy(policies)

    async def sleep(self, seconds: float) -> None:
        """Wait for Azure."""
        await asyncio.sleep(seconds)

    async def ask(self, url: str) -> Answer:
        """Send a GET on a new connection; return the response of Azure Storage."""
        transport = self.transport()
        try:
            return await send(transport, HttpRequest("GET", url))
        finally:
            await transport.close()

    async def call(self, method: str, url: str, *, body: object = None, scope: str = RESOURCE_MANAGER) -> Any:
        """Call an API as the signed-in account; return its JSON. Raises ValueError for an error status."""
        token = await self.credential.get_token(f"{scope}/.default")
        request = HttpRequest(method, url, headers={"Authorization": f"Bearer {token.token}"}, json=body)
        transport = self.transport()
        try:
            answer = await transport.send(request, stream=True)
            content = await answer.read()
        finally:
            await transport.close()
        if answer.status_code >= 300:
            raise ValueError(f"{answer.status_code}: {content[:500].decode(errors='replace')}")
        return json.loads(content) if content else None

    async def grant(self, role: str, *, scope: str) -> None:
        """Assign a role (GUID) to the signed-in account: an owner has no access to data."""
        token = await self.credential.get_token(f"{RESOURCE_MANAGER}/.default")
        claims = jwt.decode(token.token, options={"verify_signature": False})
        definition = f"/subscriptions/{self.subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"
        kind = "ServicePrincipal" if claims.get("idtyp") == "app" else "User"
        properties = {"roleDefinitionId": definition, "principalId": claims["oid"], "principalType": kind}
        url = f"{RESOURCE_MANAGER}{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
        await self.call("PUT", f"{url}?api-version=2022-04-01", body={"properties": properties})

    async def close(self) -> None:
        """Close the connections."""
        await self.arm.close()
