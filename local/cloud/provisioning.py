"""What a deployment leaves behind before the first finding: Sasquash's own storage. And getting back to that."""

from local.network.faults import Faults
from local.storage.backend import StorageBackend
from local.storage.service import Gate
from local.tenant.model import STATE_ACCOUNT, Account, Cloud

_RESOURCE_GROUP = "sasquash"
TABLES = ("revocations", "accounts", "states", "digest", "readiness")
QUEUES = ("contain", "follow-up", "intake", "intake-poison")
DEAD_LETTERS = "dead-letters"  # what Event Grid gives up on
CONTAINERS = ("azure-webjobs-hosts", DEAD_LETTERS)  # the first is where the functions host keeps its timers' leases


def state_account() -> Account:
    """Sasquash's own account, as Bicep makes it: shared keys and public access are off."""
    account = Account(name=STATE_ACCOUNT, resource_group=_RESOURCE_GROUP)
    account.properties |= {"allowSharedKeyAccess": False, "allowBlobPublicAccess": False}
    return account


async def provision(cloud: Cloud, backend: StorageBackend) -> None:
    """Make what the state account holds: tables, queues and a container."""
    await cloud.keys_changed()
    for table in TABLES:
        await backend.create_table(STATE_ACCOUNT, table)
    for queue in QUEUES:
        await backend.create_queue(STATE_ACCOUNT, queue)
    for container in CONTAINERS:
        await backend.create_container(STATE_ACCOUNT, container)


async def start_over(cloud: Cloud, *, faults: Faults, backend: StorageBackend, gate: Gate) -> None:
    """Forget everything since `provision`. A live app sees its storage pause, then its tables and queues empty.

    The state account keeps its keys, tables, queues and leases, so that the app goes on working.
    """
    faults.clear()
    async with gate.closed():
        await backend.empty_tables_and_queues(STATE_ACCOUNT)
        await backend.empty_container(STATE_ACCOUNT, DEAD_LETTERS)
        # Azurite deletes nothing of an account whose keys it does not know: data first, then the account.
        for name in [name for name in cloud.accounts if name != STATE_ACCOUNT]:
            await backend.delete_everything(name)
            del cloud.accounts[name]
        await cloud.keys_changed()
        state = cloud.accounts[STATE_ACCOUNT]
        state.policies.clear()
        state.shares.clear()
        state.delegation_keys.clear()
        for vault in cloud.vaults.values():
            vault.secrets.clear()
        cloud.alerts.clear()
        for record in (
            cloud.mails,
            cloud.incidents,
            cloud.events,
            cloud.dead_letters,
            cloud.requests,
            cloud.telemetry,
            cloud.storage_log,
        ):
            record.clear()
