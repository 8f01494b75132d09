"""Creates what a deployment creates before the first finding: Sasquash's own storage. Resets the cloud to that.

The containers of a Functions host are not among them: infra/ creates none, and the host creates its own.
"""

from local.network.faults import Faults
from local.storage.backend import StorageBackend
from local.storage.service import Gate
from local.tenant.model import INTAKE_ACCOUNT, STATE_ACCOUNT, Account, Cloud

_RESOURCE_GROUP = "sasquash"
TABLES = ("revocations", "accounts", "states", "digest", "readiness", "outbox")
QUEUES = ("contain", "contain-poison", "follow-up", "follow-up-poison", "intake", "intake-poison")
DEAD_LETTERS = "dead-letters"  # events that Event Grid could not deliver
CONTAINERS = (DEAD_LETTERS,)


def state_account() -> Account:
    """Return Sasquash's own account as Bicep creates it: without shared key access and public access."""
    return _closed_to_keys(STATE_ACCOUNT)


def intake_account() -> Account:
    """Return the account of the intake's Functions host (infra/modules/intake-storage.bicep)."""
    return _closed_to_keys(INTAKE_ACCOUNT)


def _closed_to_keys(name: str) -> Account:
    account = Account(name=name, resource_group=_RESOURCE_GROUP)
    account.properties |= {"allowSharedKeyAccess": False, "allowBlobPublicAccess": False}
    return account


async def provision(cloud: Cloud, backend: StorageBackend) -> None:
    """Create the tables, queues and containers of the state account."""
    await cloud.keys_changed()
    for table in TABLES:
        await backend.create_table(STATE_ACCOUNT, table)
    for queue in QUEUES:
        await backend.create_queue(STATE_ACCOUNT, queue)
    for container in CONTAINERS:
        await backend.create_container(STATE_ACCOUNT, container)


async def start_over(cloud: Cloud, *, faults: Faults, backend: StorageBackend, gate: Gate) -> None:
    """Delete everything since `provision`. A running app sees its storage pause, then empty tables and queues.

    The state account keeps its keys, tables, queues and leases, so that the app keeps working.
    """
    faults.clear()
    async with gate.closed():
        await backend.empty_tables_and_queues(STATE_ACCOUNT)
        await backend.empty_container(STATE_ACCOUNT, DEAD_LETTERS)
        # Azurite deletes no data of an account that it does not know: data first, then the account.
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
            cloud.history,
        ):
            record.clear()
