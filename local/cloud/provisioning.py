"""Creates what a deployment creates before the first finding: Sasquash's own storage. Resets the cloud to that.

The containers of a Functions host are not among them: infra/ creates none, and the host creates its own.
"""

from dataclasses import dataclass

from local.network.faults import Faults
from local.storage.backend import StorageBackend
from local.storage.service import Gate
from local.tenant.model import INTAKE_ACCOUNT, STATE_ACCOUNT, Account, Cloud

_RESOURCE_GROUP = "sasquash"
TABLES = ("revocations", "accounts", "states", "digest", "readiness", "outbox")
FINDINGS = "findings"  # where Event Grid delivers to in a private network
QUEUES = (
    "contain",
    "contain-poison",
    "follow-up",
    "follow-up-poison",
    "intake",
    "intake-poison",
    FINDINGS,
    "findings-poison",
)
DEAD_LETTERS = "dead-letters"  # events that Event Grid could not deliver
CONTAINERS = (DEAD_LETTERS,)
_OWN = frozenset({STATE_ACCOUNT, INTAKE_ACCOUNT})


@dataclass(frozen=True)
class OwnStorage:
    """What a deployment has created in Sasquash's own account."""

    tables: tuple[str, ...] = TABLES
    queues: tuple[str, ...] = QUEUES
    containers: tuple[str, ...] = CONTAINERS


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


async def provision(cloud: Cloud, backend: StorageBackend, own: OwnStorage) -> None:
    """Create the tables, queues and containers of the state account."""
    await cloud.keys_changed()
    for table in own.tables:
        await backend.create_table(STATE_ACCOUNT, table)
    for queue in own.queues:
        await backend.create_queue(STATE_ACCOUNT, queue)
    for container in own.containers:
        await backend.create_container(STATE_ACCOUNT, container)


async def start_over(cloud: Cloud, *, faults: Faults, backend: StorageBackend, gate: Gate) -> None:
    """Delete everything since `provision`. A running app sees its storage pause, then empty tables and queues.

    The state account keeps its keys, tables, queues and leases, so that the app keeps working; the intake's host its
    storage.
    """
    faults.clear()
    async with gate.closed():
        await backend.empty_tables_and_queues(STATE_ACCOUNT)
        await backend.empty_container(STATE_ACCOUNT, DEAD_LETTERS)
        # Azurite deletes no data of an account that it does not know: data first, then the account.
        for name in [name for name in cloud.accounts if name not in _OWN]:
            await backend.delete_everything(name)
            del cloud.accounts[name]
        await cloud.keys_changed()
        state = cloud.accounts[STATE_ACCOUNT]
        state.policies.clear()
        state.shares.clear()
        state.delegation_keys.clear()
        cloud.sas_policy_seconds = 0.0
        cloud.elsewhere.clear()
        cloud.other_subscriptions.clear()
        for vault in cloud.vaults.values():
            vault.secrets.clear()
        cloud.alerts.clear()
        cloud.directory.forget()
        for record in (
            cloud.mails,
            cloud.incidents,
            cloud.events,
            cloud.dead_letters,
            cloud.requests,
            cloud.telemetry,
            cloud.storage_log,
            cloud.activity,
            cloud.history,
        ):
            record.clear()
