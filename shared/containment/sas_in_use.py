"""Reads which SAS of an account are in use, for the plan of an action that stops many of them.

It is read only where an order or a rule asks for such an action, while the account's lock is held: so it takes a few
seconds at most, and what can't be read is unknown.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

from shared.domain.account import AccountFacts
from shared.domain.decision.policy import DecisionPolicy
from shared.domain.decision.rules import first_that_holds
from shared.domain.decision.snapshot import Snapshot
from shared.domain.finding import Finding
from shared.domain.logged_sas import LoggedTokens
from shared.domain.usage import covers_all
from shared.errors import SasquashError

if TYPE_CHECKING:  # imports the client of Azure Monitor, which most revocations don't need
    from shared.cloud.log_rows import KnowsLogs
    from shared.cloud.sas_log import SasLog

_log = logging.getLogger(__name__)

_DAYS = 30
_PATIENCE = 8.0  # seconds, of persistence.accounts.WORK_TIME


@dataclass(frozen=True, slots=True)
class SasInUse:
    """Reads the storage logs. `logged` says what a service logs to a workspace; both make their clients late."""

    log: "Callable[[], SasLog]"
    logged: "Callable[[], KnowsLogs]"
    _: KW_ONLY
    policy: DecisionPolicy

    async def of(self, snapshot: Snapshot) -> LoggedTokens | None:
        """Return what the logs of 30 days have, if the leak that the lock was taken for needs it; None if unknown."""
        account = snapshot.account
        if not snapshot.waiting or not self._is_needed(snapshot.waiting[0], snapshot):
            return None
        try:
            async with asyncio.timeout(_PATIENCE):
                if not await self._logs_all(account):
                    return None
                return await self.log().of_account(account.id, account.name, days=_DAYS)
        except (SasquashError, TimeoutError) as error:
            _log.warning("Which SAS of %s are in use is unknown: %s", account.name, str(error) or "it took too long.")
            return None

    def _is_needed(self, finding: Finding, snapshot: Snapshot) -> bool:
        order, credential = finding.order, finding.credential
        if order is not None:
            return self.policy.actions[order.action].counts_sas
        if credential is None:
            return False
        rule = first_that_holds(self.policy.rules, credential, account=snapshot.account.name, now=snapshot.at)
        block = rule.remedy.block
        return block is not None and self.policy.actions[block.action].counts_sas

    async def _logs_all(self, account: AccountFacts) -> bool:
        """Whether every service logs its requests to a workspace: of one that does not, the use is unknown."""
        known = await asyncio.gather(*(self.logged()(account, service) for service in account.endpoints))
        return all(map(covers_all, known))
