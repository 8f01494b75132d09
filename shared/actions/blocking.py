"""What actions share that block a leak by a property of its account, for as long as nobody changes that.

ARM: Storage Accounts - Update and Get Properties (2026-09-01). ARM has no ETag for an account.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import Any, override

from azure.mgmt.storage.aio import StorageManagementClient
from azure.mgmt.storage.models import StorageAccount, StorageAccountUpdateParameters

from shared.actions.action import ContainmentAction, Executed, Interrupted, Recovered
from shared.cloud.accounts import AccountRef
from shared.cloud.arm_write import answered, once
from shared.cloud.errors import from_account, translate_errors
from shared.domain.account import AccountFacts
from shared.domain.execution import Execution, LockedDown
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.errors import SasquashError, TransientFailure
from shared.persistence.account_rows import Attributed


@dataclass(frozen=True)
class BlockingAction(ContainmentAction):
    """An action that changes a property of the account. `client_for` takes a subscription."""

    client_for: Callable[[str], StorageManagementClient]
    _: KW_ONLY
    clock: Callable[[], datetime]
    new_id: Callable[[], str]

    @abstractmethod
    def standing(self, account: AccountFacts, locked: LockedDown) -> Executed | None:
        """Return the execution if it is in force already, perhaps by an earlier attempt. Raises Blocked."""

    def may_have_run(self, locked: LockedDown) -> bool:
        """Whether a way back is this action's, and of an execution that still counts."""
        return locked.action is self.spec.kind

    @override
    async def settle(self, noted: Attributed, left: Interrupted) -> Executed | None:
        """Return the execution if it is in force: the way back was recorded before."""
        return next((found for _, found in self._in_force(left.account, left.noted)), None)

    @override
    def settle_unnoted(self, left: Interrupted) -> Recovered | None:
        """Return an execution that is in force, and whose way back was recorded for one of the leaks."""
        for record, found in self._in_force(left.account, left.others):
            noted = Attributed(record.fingerprint, self.spec.kind, found.execution.target, version="")
            return Recovered(noted, found, at=left.predecessor.acquired_at)
        return None

    def _in_force(
        self, account: AccountFacts, records: Iterable[Revocation]
    ) -> Iterator[tuple[Revocation, Executed]]:
        for record in records:
            locked = record.lockdown
            if record.state is State.RECEIVED and locked is not None and self.may_have_run(locked):
                standing = self.standing(account, locked)
                if standing is not None:
                    yield record, standing

    def execution(
        self, target: str, *, confirmed_by: str, correlation_id: str | None, notes: tuple[str, ...] = ()
    ) -> Execution:
        """Return an execution of now, which replaces no key and no policy."""
        return Execution(
            action=self.spec.kind,
            target=target,
            at=self.clock(),
            old_sha256="",
            new_sha256="",
            confirmed_by=confirmed_by,
            correlation_id=correlation_id,
            notes=notes,
        )

    async def changed(
        self,
        account: AccountFacts,
        properties: Mapping[str, Any],
        correlation_id: str,
        *,
        doing: str,
        within: float,
        is_in_force: Callable[[StorageAccount], bool],
    ) -> tuple[StorageAccount, str]:
        """Update the account; return it as it is then, and what confirms that. A lost answer is settled by a read.

        Raises the failure whose answer was lost where the account can't be read, and TransientFailure where the
        update had no effect.
        """
        try:
            return await self.update(account, properties, correlation_id, doing=doing, within=within), "answer"
        except TransientFailure as lost:
            if lost.had_no_effect:
                raise
            try:
                found = await self.read(account)
            except SasquashError:
                raise lost from None
            if not is_in_force(found):
                raise TransientFailure(
                    f"{lost} It did not happen.", retry_after=lost.retry_after, sent=False
                ) from None
            return found, "listing"

    async def read(self, account: AccountRef | AccountFacts) -> StorageAccount:
        """Return the account as ARM has it. Raises AccountGone, TransientFailure or Blocked."""
        client = self.client_for(account.subscription)
        with translate_errors(f"Reading account {account.name}", meaning=from_account):
            return await client.storage_accounts.get_properties(account.resource_group, account.name)

    async def update(
        self,
        account: AccountRef | AccountFacts,
        properties: Mapping[str, Any],
        correlation_id: str,
        *,
        doing: str,
        within: float,
    ) -> StorageAccount:
        """Update the account, once, within so many seconds. Raises AccountGone, TransientFailure or Blocked."""
        client = self.client_for(account.subscription)
        async with answered(doing, within=within, meaning=from_account):
            return await client.storage_accounts.update(
                account.resource_group,
                account.name,
                StorageAccountUpdateParameters({"properties": dict(properties)}),
                **once(correlation_id),
            )
