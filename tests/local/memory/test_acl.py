"""Access control lists and user delegation keys of the storage in memory, with the SDK's own clients."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceModifiedError
from azure.storage.blob import AccessPolicy, BlobSasPermissions, generate_blob_sas, generate_container_sas
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from local.entra.service import Entra
from local.memory.exchange import Request
from local.memory.storage import MemoryStorage
from local.memory.transport import InProcessTransport
from local.tenant import identities
from local.tenant.model import Account, Cloud

NAME = "robustmodels"
URL = f"https://{NAME}.blob.core.windows.net"


class Place:
    """A container of an account in memory, at a time that a test sets."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        self.cloud = Cloud(identities=identities.directory(), users=identities.users())
        self.account = self.cloud.accounts[NAME] = Account(NAME, "research")
        self.entra = Entra(self.cloud)
        self.storage = MemoryStorage(self.cloud, self.entra, now=lambda: self.now)
        self.storage.blobs(NAME).create("models")

    def container(self, name: str = "models") -> ContainerClient:
        key = self.account.keys["key1"]
        return ContainerClient(URL, name, credential=key, transport=InProcessTransport(self.storage), retry_total=0)

    async def status(self, path: str, token: str) -> int:
        answer = await self.storage(Request.of("GET", f"{URL}/{path}?{token}", {"x-ms-version": "2021-12-02"}, b""))
        return answer.status


@pytest.fixture
def place() -> Place:
    return Place()


def policy(place: Place, *, days: int = 1) -> dict[str, AccessPolicy]:
    return {"partners": AccessPolicy(permission="r", expiry=place.now + timedelta(days=days))}


async def test_policies_are_returned_as_they_were_set(place: Place) -> None:
    await place.container().set_container_access_policy(policy(place))
    answer = await place.container().get_container_access_policy()
    assert [(one.id, one.access_policy.permission) for one in answer["signed_identifiers"]] == [("partners", "r")]


async def test_list_of_no_container_is_not_found(place: Place) -> None:
    with pytest.raises(HttpResponseError) as raised:
        await place.container("none").get_container_access_policy()
    assert (raised.value.status_code, raised.value.error_code) == (404, "ContainerNotFound")


async def test_list_that_changed_since_is_not_replaced(place: Place) -> None:
    read_at = place.now
    place.now += timedelta(minutes=1)
    await place.container().set_container_access_policy(policy(place))
    with pytest.raises(ResourceModifiedError):
        await place.container().set_container_access_policy({}, if_unmodified_since=read_at)


@pytest.mark.parametrize(("days", "status"), [(1, 404), (-1, 403)])
async def test_token_works_as_long_as_its_policy(place: Place, days: int, status: int) -> None:
    await place.container().set_container_access_policy(policy(place, days=days))
    token = generate_container_sas(NAME, "models", place.account.keys["key1"], policy_id="partners")
    assert await place.status("models/none", token) == status


@pytest.mark.parametrize(("revoke", "status"), [(lambda: None, 404), (lambda: datetime.now(UTC), 403)])
async def test_user_delegation_sas_works_until_its_keys_are_revoked(
    place: Place, revoke: Callable[[], datetime | None], status: int
) -> None:
    token = place.entra.mint(place.cloud.identities["developer"], audience="https://storage.azure.com")

    class Credential:
        async def get_token(self, *_: str, **__: Any) -> Any:
            from azure.core.credentials import AccessToken

            return AccessToken(token, 4_000_000_000)

    client = BlobServiceClient(URL, credential=Credential(), transport=InProcessTransport(place.storage))  # type: ignore[arg-type]
    start = place.now - timedelta(minutes=5)
    key = await client.get_user_delegation_key(start, start + timedelta(hours=1))
    sas = generate_blob_sas(
        NAME,
        "models",
        "none",
        user_delegation_key=key,
        permission=BlobSasPermissions(read=True),
        expiry=start + timedelta(hours=1),
    )
    place.account.delegation_keys_revoked_at = revoke()
    assert await place.status("models/none", sas) == status
