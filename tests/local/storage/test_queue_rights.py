"""Storage Queue Data Message Sender, which Event Grid has: learn.microsoft.com, "Azure built-in roles for Storage".

Its one data action is queueServices/queues/messages/add/action.
"""

from collections.abc import Awaitable, Callable

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.queue.aio import QueueClient

from local.cloud.cloud import LocalCloud
from local.tenant.model import STATE_ACCOUNT
from tests.support.deployment import Deployment
from tests.support.storage_clients import Token


def queue(cloud: LocalCloud, name: str) -> QueueClient:
    url = f"https://{STATE_ACCOUNT}.queue.core.windows.net"
    return QueueClient(url, name, credential=Token(cloud, "topic"), **Deployment(cloud).options)


async def test_topic_may_add_messages_to_its_queue(cloud: LocalCloud) -> None:
    async with queue(cloud, "findings") as client:
        assert (await client.send_message("x", time_to_live=-1)).id


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("contain", lambda client: client.send_message("x")),
        ("findings-poison", lambda client: client.send_message("x")),
        ("findings", lambda client: client.get_queue_properties()),
        ("findings", lambda client: client.peek_messages()),
        ("findings", lambda client: client.clear_messages()),
        ("findings", lambda client: client.delete_message("id", "receipt")),
        ("findings", lambda client: client.delete_queue()),
    ],
)
async def test_topic_may_do_nothing_else(
    cloud: LocalCloud, name: str, call: Callable[[QueueClient], Awaitable[object]]
) -> None:
    async with queue(cloud, name) as client:
        with pytest.raises(HttpResponseError) as refused:
            await call(client)

    assert (refused.value.status_code, refused.value.error_code) == (403, "AuthorizationPermissionMismatch")  # type: ignore[attr-defined]


# Past a firewall


@pytest.mark.parametrize(
    ("public", "bypass", "identity", "is_let_in"),
    [
        ("Enabled", "AzureServices", "topic", True),
        ("Enabled", "Logging, AzureServices", "topic", True),
        ("Enabled", "None", "topic", False),
        ("Disabled", "AzureServices", "topic", False),
        ("Enabled", "AzureServices", "developer", False),
    ],
)
async def test_firewall_lets_event_grid_in_as_a_trusted_service(
    cloud: LocalCloud, public: str, bypass: str, identity: str, *, is_let_in: bool
) -> None:
    """ "Storage queue as an event handler for Azure Event Grid events", note: "you can use only the system-assigned
    managed identity if Allow Azure services on the trusted service list ... is also enabled".
    """
    properties = cloud.model.accounts[STATE_ACCOUNT].properties
    before = dict(properties)
    rules = {"defaultAction": "Deny", "bypass": bypass}
    url = f"https://{STATE_ACCOUNT}.queue.core.windows.net"
    client = QueueClient(url, "findings", credential=Token(cloud, identity), **Deployment(cloud).options)
    async with client:
        properties |= {"publicNetworkAccess": public, "networkAcls": rules}
        try:
            await client.send_message("x")
            code = None
        except HttpResponseError as error:
            code = error.error_code  # type: ignore[attr-defined]
        finally:
            properties.clear()
            properties |= before

    assert code == (None if is_let_in else "AuthorizationFailure")
