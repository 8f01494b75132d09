"""The one interface of all containment actions. `actions/registry.py` has them by name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol

from shared.cloud.accounts import AccountRef
from shared.domain.account import AccountFacts, AccountKey
from shared.domain.decision.action_spec import ActionSpec
from shared.domain.decision.attribution import attribute_any
from shared.domain.decision.snapshot import Snapshot
from shared.domain.execution import Execution, LockedDown, Plan, Verification, VerificationToken
from shared.domain.revocation import Revocation
from shared.domain.target import KEY_NAMES
from shared.errors import WrongState
from shared.persistence.account_rows import Attributed, Intent, Rotation
from shared.sas import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A plan to execute, with everything that was read to decide on it.

    `signed_by` is the key that signed the leak, None where none is known to have. From `settled_from` on, the lock's
    next holder can find out what happened.
    """

    plan: Plan
    snapshot: Snapshot
    record: Revocation
    signed_by: str | None
    settled_from: datetime

    @property
    def account(self) -> AccountFacts:
        """The account as it was read."""
        return self.snapshot.account

    @property
    def signer(self) -> AccountKey:
        """The key that signed the leak, or any key."""
        return signer(self.snapshot.keys, self.signed_by)


@dataclass(frozen=True, slots=True)
class Executed:
    """An execution, and how to undo it where that is possible."""

    execution: Execution
    lockdown: LockedDown | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """What is known of an account whose lock `predecessor` held and never released.

    `noted` are the records of the leaks that it attributed to its action, `others` those of all other suspects.
    """

    predecessor: Intent
    account: AccountFacts
    keys: Mapping[str, AccountKey]
    rotations: tuple[Rotation, ...]
    noted: tuple[Revocation, ...]
    others: tuple[Revocation, ...]


@dataclass(frozen=True, slots=True)
class Recovered:
    """An execution of a predecessor that its lock does not name. `attributed.fingerprint` is the leak's.

    `at` is when the leak was attributed, None where nobody knows.
    """

    attributed: Attributed
    executed: Executed
    at: datetime | None


class ContainmentAction(Protocol):
    """An action that contains a leak. The methods with a body are right for most actions."""

    spec: ClassVar[ActionSpec]
    can_be_read_back: ClassVar[bool] = True
    """Whether reading the account shows if an execution happened. If not, executing it again has the same result."""

    async def mint(self, job: Job) -> tuple[VerificationToken, ...]:  # noqa: ARG002 -- a default
        """Return tokens of our own that the execution revokes, too; none where there can't be any."""
        return ()

    def way_back(self, job: Job) -> LockedDown | None:  # noqa: ARG002 -- a default
        """Return what must be recorded before the execution, so that it can be undone. Raises Blocked."""
        return None

    async def execute(self, job: Job, tokens: tuple[VerificationToken, ...]) -> Executed:
        """Execute the plan, and try `tokens` meanwhile, so that the record says if they were accepted before.

        Raises Throttled or Blocked (it did not happen), or TransientFailure; one that may have had an effect leaves
        open whether it happened.
        """

    async def verify(self, execution: Execution, account: AccountFacts, record: Revocation) -> Verification:
        """Return what is verified by now. Raises TransientFailure or Blocked."""

    async def settle(self, noted: Attributed, left: Interrupted) -> Executed | None:
        """Return the execution of `noted` if the account shows it. Raises TransientFailure or Blocked."""

    def settle_unnoted(self, left: Interrupted) -> Recovered | None:  # noqa: ARG002 -- a default
        """Return an execution that the account shows although its lock does not name it."""
        return None

    def signer_of(self, noted: Attributed, record: Revocation, left: Interrupted) -> tuple[str | None, str | None]:  # noqa: ARG002 -- a default
        """Return name and SHA-256 of the key that signed the leak of `record`: the action has not changed it."""
        if record.finding.credential is None:
            return None, None
        keys = {name: key.value for name, key in left.keys.items()}
        _, verdict = attribute_any(record.to_weigh.readings, account=left.account.name, keys=keys)
        return verdict.key_name, verdict.key_sha256

    async def undone_by_others(self, execution: Execution, account: AccountFacts) -> str | None:  # noqa: ARG002 -- a default
        """Return a sentence where somebody else has undone `execution`, as `account` (read just now) shows.

        It is asked for actions in `BLOCKS_WHILE_IN_EFFECT`: once a day, and at each report of the leak.
        """
        return None

    async def undo(self, locked: LockedDown, account: AccountRef | AccountFacts) -> LockedDown:  # noqa: ARG002 -- a default
        """Undo the execution. Raises WrongState where that is not possible, TransientFailure or Blocked."""
        raise WrongState("This action can't be undone.")


def services_of(record: Revocation, account: AccountFacts) -> Iterable[Service]:
    """Return the services that a leak is for; all of the account where it is not known."""
    credential = record.finding.credential
    return credential.services if credential is not None else account.endpoints.keys()


def signer(keys: Mapping[str, AccountKey], key_name: str | None) -> AccountKey:
    """Return the key that signed a leak; any key where none is known to have (an order)."""
    return keys[key_name or KEY_NAMES[0]]
