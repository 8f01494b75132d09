"""The monitored subscriptions of a test that has a client of ARM in process."""

from azure.mgmt.storage.aio import StorageManagementClient

from local.entra.tokens import ARM
from shared.cloud.arm import ArmReader
from shared.cloud.subscriptions import Subscriptions
from tests.support.samples import NOW, SUBSCRIPTION


def only_subscription(client: StorageManagementClient) -> Subscriptions:
    """Return the scope of a deployment that monitors one subscription."""
    arm = ArmReader(lambda _: client, resource_manager=ARM)
    return Subscriptions(arm, listed=(SUBSCRIPTION,), management_group=None, clock=lambda: NOW)
