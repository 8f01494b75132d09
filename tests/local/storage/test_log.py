"""Lines that the stand-in of storage logs about access policies.

Sources: REST, "Storage Analytics logged operations and status messages" (SetContainerACL, SetQueueACL, SetTableACL);
MicrosoftDocs/azure-docs, "Understand Azure Files billing" (SetShareACL); Azure Monitor Logs reference,
"StorageBlobLogs": ClientRequestId is the header x-ms-client-request-id, CallerIpAddress has the port. A published
line of a real account has the port in `uri`: "https://….blob.core.windows.net:443/?comp=list".
"""

import pytest

from local.cloud.cloud import LocalCloud
from local.tenant.model import Account, StorageLogLine
from tests.support.deployment import Deployment
from tests.support.policy_resources import PLACES


def lines(cloud: LocalCloud, account: Account) -> list[StorageLogLine]:
    return [line for line in cloud.model.storage_log if line.account == account.name]


@pytest.mark.parametrize(
    ("kind", "service", "operation", "query"),
    [
        ("container", "blob", "SetContainerACL", "restype=container&comp=acl"),
        ("queue", "queue", "SetQueueACL", "comp=acl"),
        ("table", "table", "SetTableACL", "comp=acl"),
        ("share", "file", "SetShareACL", "restype=share&comp=acl"),
    ],
)
async def test_write_of_policies_is_logged_with_its_operation(
    cloud: LocalCloud, account: Account, *, kind: str, service: str, operation: str, query: str
) -> None:
    account.logged[service] = ("StorageWrite",)
    await PLACES[kind](Deployment(cloud), account, "models").make()

    [line] = [line for line in lines(cloud, account) if line.operation]

    assert (line.operation, line.category) == (operation, "StorageWrite")
    assert line.status < 300
    path, _, asked = line.uri.partition("?")
    assert path == f"https://{account.name}.{service}.core.windows.net:443/models"
    assert sorted(asked.split("&")) == sorted(query.split("&"))
    assert line.authentication_hash.startswith("key1(")
    assert line.request_id


async def test_read_of_policies_is_no_write(cloud: LocalCloud, account: Account) -> None:
    account.logged["blob"] = ("StorageRead",)
    place = PLACES["container"](Deployment(cloud), account, "models")
    await place.make()
    await place.policies()

    assert [line.operation for line in lines(cloud, account)] == ["", "SetContainerACL", ""]


async def test_signature_is_not_logged(cloud: LocalCloud, account: Account) -> None:
    account.logged["blob"] = ("StorageRead",)
    place = PLACES["container"](Deployment(cloud), account, "models")
    await place.make()
    await place.use(place.url(policy=None))

    assert "&sig=XXXXX" in lines(cloud, account)[-1].uri


async def test_line_has_the_type_of_authentication_and_the_operation(cloud: LocalCloud, account: Account) -> None:
    """Microsoft Learn, "Best practices for monitoring Azure Blob Storage": AuthenticationType and OperationName."""
    account.logged["blob"] = ("StorageRead", "StorageWrite")
    place = PLACES["container"](Deployment(cloud), account, "models")
    await place.make()
    await place.use(place.url(policy=None))

    by_key, *_, by_sas = lines(cloud, account)

    assert by_key.authentication_type == "AccountKey"
    assert by_sas.authentication_type == "SAS"
    assert by_sas.operation in ("GetBlob", "ListBlobs", "GetBlobProperties")
