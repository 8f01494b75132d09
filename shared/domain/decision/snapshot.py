"""Everything that was read of a storage account while its lock was held: the input of a decision. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.account import AccountFacts, AccountKey, PolicyReading
from shared.domain.finding import Finding
from shared.domain.logged_sas import LoggedTokens
from shared.domain.target import ActionKind


@dataclass(frozen=True, slots=True)
class PastExecution:
    """An action that Sasquash executed on the account."""

    action: ActionKind
    target: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that was read under the lock. `policies` are by the text of their targets (`evaluation.policy_of`).

    `sas_in_use` is what the storage logs have of the account; None where nobody asked, or where they don't show it.
    """

    account: AccountFacts
    keys: Mapping[str, AccountKey]
    waiting: tuple[Finding, ...]  # the finding that the lock was acquired for comes first
    executions: tuple[PastExecution, ...]
    at: datetime
    policies: Mapping[str, PolicyReading] = field(default_factory=dict)
    sas_in_use: LoggedTokens | None = None

    def last(self, action: ActionKind, *, target: str | None = None) -> PastExecution | None:
        """Return the latest execution of `action`, on `target` if one is given; None if there is none."""
        matching = (
            execution
            for execution in self.executions
            if execution.action is action and target in (None, execution.target)
        )
        return max(matching, key=lambda execution: execution.at, default=None)
