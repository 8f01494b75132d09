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
