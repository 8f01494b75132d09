"""Account key action: regenerate the one key that signed a leak.

ARM: Storage Accounts - List Keys, Regenerate Key (2026-09-01). Regenerating is not idempotent, a second call breaks
clients that have already moved on. So it is sent once, and a lost answer is reconciled by listing the keys.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from datetime import datetime, timedelta
from typing import override

from azure.mgmt.storage.aio import StorageManagementClient
from azure.mgmt.storage.models import StorageAccountKey, StorageAccountRegenerateKeyParameters

from shared.actions.action import ContainmentAction, Executed, Interrupted, Job, Recovered
from shared.actions.az_cli import CliAccount
from shared.actions.verification import Verifier
from shared.cloud.accounts import MAY_BE_REPEATED, AccountRef
from shared.cloud.arm_write import answered, once
from shared.cloud.errors import from_account, translate_errors
from shared.domain.account import KEY_VAULT_TAG, AccountFacts, AccountKey, tag_in
from shared.domain.decision.action_spec import NOTIFY, ActionSpec
from shared.domain.decision.attribution import Verdict, attribute_any
from shared.domain.decision.snapshot import Snapshot
from shared.domain.execution import Execution, Plan, Verification, VerificationToken
from shared.domain.retired_keys import RetiredKey, RetiredKeys
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import KEY_NAMES, ActionKind, InvalidTarget
from shared.domain.text import Code, RichText
from shared.errors import SasquashError, TransientFailure
from shared.persistence.account_rows import Rotation
from shared.persistence.accounts import TAKEOVER_TIME, Attributed, Tenure

_REGENERATE_TIMEOUT = 25.0  # seconds; within persistence.accounts.EXECUTION_TIME
_CLOCK_SKEW = timedelta(seconds=5)


class AccountKeySpec(ActionSpec):
    """The texts and rules of regenerating a key."""

    kind = ActionKind.ACCOUNT_KEY
    may_run_at_deadline = True
    untouched = "; the other key was not touched"
    impact_texts = (
        "Every client that uses {target} of {account}: connection strings, Shared Key requests, SMB mounts.",
        "Every SAS that {target} signed, including SAS tokens that did not leak.",
        "Function apps, Logic Apps, linked services and mounts that were configured with {target} "
        "(AzureWebJobsStorage and similar): they fail at their next request or restart.",
    )
    done_text = "{target} of {account} was regenerated."
    recovery_texts = (
        "Give the key's new value to the clients that used the old one, or better: move them to Entra ID or to a "
        "user delegation SAS, read-only, for the paths they need, and short-lived.",
    )
    still_accepted_text = RichText.of(
        "Disallow shared key access for now: ",
        Code("az storage account update --allow-shared-key-access false"),
        ", then open a support request: Azure must refuse a regenerated key within ten minutes.",
    )

    def check_target(self, target: str) -> None:
        """Return for key1 and key2. Raises InvalidTarget."""
        if target not in KEY_NAMES:
            raise InvalidTarget("the target of account_key is key1 or key2")

    def version(self, snapshot: Snapshot, target: str) -> str:
        """Return the key's SHA-256 (hex)."""
        return snapshot.keys[target].sha256

    @override
    def beside(self, snapshot: Snapshot, target: str) -> str:
        """Return the other key's SHA-256: once it is rotated, nobody has approved to rotate both."""
        return "".join(key.sha256 for name, key in sorted(snapshot.keys.items()) if name != target)

    def steps(self, account: AccountFacts, target: str) -> tuple[str, ...]:
        """Return the steps; key distribution is one where the account's tag asks for it."""
        distribution = (
            f"Write the new {target} to the Key Vault secret that the account's tag {KEY_VAULT_TAG} names, if the "
            "settings allow it and the secret holds the old key."
        )
        return (
            f"Regenerate {target} of {account.name}, once; the other key stays as it is.",
            f"Verify with a token of our own that the old {target} is refused.",
            *((distribution,) if tag_in(account.tags, KEY_VAULT_TAG) else ()),
            NOTIFY,
        )

    @override
    def ends(self, plan: Plan, verdict: Verdict, own_plan: Plan | None) -> bool:
        """Whether the key signed it, under a stored access policy or not."""
        return (verdict.key_name, verdict.key_sha256) == (plan.target, plan.version)

    def by_hand(self, account_id: str | None, target: str | None) -> Code | None:
        """Return the command that regenerates the key."""
        account = CliAccount.of(account_id)
        if account is None or target not in KEY_NAMES:
            return None
        return Code(f"az storage account keys renew {account.in_group()} --key {target} --output none")

    def afterwards(self, account_id: str | None, target: str | None) -> Code | None:
        """Return the command that prints the key's new value."""
        account = CliAccount.of(account_id)
        if account is None or target not in KEY_NAMES:
            return None
        query = f"[?keyName=='{target}'].value"
        return Code(f'az storage account keys list {account.in_group()} --query "{query}" --output tsv')


@dataclass(frozen=True)
class AccountKeyAction(ContainmentAction):
    """Regenerates a key. `client_for` takes a subscription; `retired` gets the keys as they were before."""

    spec = AccountKeySpec()

    client_for: Callable[[str], StorageManagementClient]
    verifier: Verifier
    _: KW_ONLY
    retired: RetiredKeys
    clock: Callable[[], datetime]
    new_id: Callable[[], str]

    async def keys(self, account: AccountRef | AccountFacts) -> dict[str, AccountKey]:
        """Return key1 and key2 as ARM has them now, both. Raises AccountGone, TransientFailure or Blocked."""
        client = self.client_for(account.subscription)
        doing = f"Listing the keys of {account.name}"
        with translate_errors(doing, meaning=from_account):
            # Typed as "kerb" only, though None is what leaves the Kerberos keys out; the default asks for them.
            result = await client.storage_accounts.list_keys(
                account.resource_group,
                account.name,
                expand=None,  # type: ignore[arg-type]
                retry_on_methods=MAY_BE_REPEATED,
            )
        keys = _sas_keys(result.keys_property or [])
        if len(keys) != len(KEY_NAMES):
            raise TransientFailure(f"{doing} brought {len(keys)} of {len(KEY_NAMES)} keys.")
        return keys

    @override
    async def mint(self, job: Job) -> tuple[VerificationToken, ...]:
        """Return a token for each service that the leak is for."""
        credential = job.record.finding.credential
        services = credential.services if credential is not None else job.account.endpoints.keys()
        return self.verifier.mint(job.account, services, key=job.snapshot.keys[job.plan.target].value)

    @override
    async def execute(self, job: Job, tokens: tuple[VerificationToken, ...]) -> Executed:
        """Regenerate the key, once. A lost answer is reconciled by listing the keys."""
        plan, account = job.plan, job.account
        old = job.snapshot.keys[plan.target]
        if old.sha256 != plan.version:
            raise TransientFailure(f"{plan.target} of {account.name} changed since the plan was made.", sent=False)
        correlation_id, client = self.new_id(), self.client_for(account.subscription)
        doing = f"Regenerating {plan.target} of {account.name}"
        try:
            async with self.verifier.trying(tokens) as tried, answered(doing, within=_REGENERATE_TIMEOUT):
                answer = await client.storage_accounts.regenerate_key(
                    account.resource_group,
                    account.name,
                    StorageAccountRegenerateKeyParameters(key_name=plan.target),
                    **once(correlation_id),
                )
                at = self.clock()
        except TransientFailure as lost:
            if lost.had_no_effect:
                raise
            execution = await self._read_back(job, tokens, lost)
        else:
            new = _sas_keys(answer.keys_property or []).get(plan.target)
            if new is None or new.sha256 == plan.version:
                unchanged = f"ARM answered, but {plan.target} of {account.name} is what it was."
                execution = await self._read_back(job, tokens, TransientFailure(unchanged))
            else:
                execution = Execution(
                    action=ActionKind.ACCOUNT_KEY,
                    target=plan.target,
                    at=at,
                    old_sha256=plan.version,
                    new_sha256=new.sha256,
                    confirmed_by="answer",
                    correlation_id=correlation_id,
                    verification_tokens=tuple(tried),
                )
        self.retired.add(account.name, RetiredKey(plan.target, old.value, execution.at))
        return Executed(execution)

    async def _read_back(self, job: Job, tokens: tuple[VerificationToken, ...], lost: TransientFailure) -> Execution:
        """Return the execution if the keys show that it happened. Raises TransientFailure while that is open."""
        try:
            now = (await self.keys(job.account))[job.plan.target]
        except SasquashError:
            now = None
        if now is None or now.sha256 == job.plan.version:
            raise TransientFailure(
                f"{lost} Listing the keys will show whether it happened.",
                retry_after=(job.settled_from - self.clock()).total_seconds(),
            ) from lost
        execution = by_listing(job.plan.target, job.plan.version, now, at=self.clock())
        return replace(execution, verification_tokens=tokens)

    @override
    async def verify(self, execution: Execution, account: AccountFacts, record: Revocation) -> Verification:
        """Return what is verified of the old key: by ARM's list, and by tokens of our own."""
        now = (await self.keys(account))[execution.target]
        return await self.verifier.verify(
            execution, account, changed=now.sha256 != execution.old_sha256, new_key=now.value
        )

    @override
    async def settle(self, noted: Attributed, left: Interrupted) -> Executed | None:
        """Return the execution if the key is not the noted one any more."""
        key = left.keys[noted.target]
        if key.sha256 == noted.version:
            return None
        return Executed(by_listing(noted.target, noted.version, key, at=self.clock()))

    @override
    def settle_unnoted(self, left: Interrupted) -> Recovered | None:
        """Return the execution that the account's rotations, or else the age of a key, show."""
        waiting = {record.fingerprint: record for record in left.others if record.state is State.RECEIVED}
        return self._by_rotation(left, waiting) or self._by_age(left, waiting)

    def _by_rotation(self, left: Interrupted, waiting: Mapping[str, Revocation]) -> Recovered | None:
        """Return a rotation that is recorded for the account, but not in its leak's record yet.

        The lock need not have been held for that leak: it may have been chosen from all that waited.
        """
        for rotation in left.rotations:
            key = left.keys.get(rotation.target)
            if key is not None and key.sha256 == rotation.new_sha256 and rotation.fingerprint in waiting:
                execution = by_listing(rotation.target, "", key, at=rotation.at)
                execution = replace(execution, at=rotation.at, confirmed_by="answer")
                return _unproven(rotation.fingerprint, execution)
        return None

    def _by_age(self, left: Interrupted, waiting: Mapping[str, Revocation]) -> Recovered | None:
        """Return the regeneration of the one key that was made while the lock was held for a leak.

        No signature verification can show any more which key signed that leak.
        """
        for tenure in left.predecessor.tenures:
            record = waiting.get(tenure.fingerprint)
            if record is None or not _matches_no_key(record, left):
                continue
            fresh = [name for name, key in left.keys.items() if _was_made_for(tenure, key, left.rotations)]
            if len(fresh) == 1:  # both keys are fresh where the account itself is
                execution = by_listing(fresh[0], "", left.keys[fresh[0]], at=self.clock())
                return _unproven(record.fingerprint, execution)
        return None

    @override
    def signer_of(self, noted: Attributed, record: Revocation, left: Interrupted) -> tuple[str | None, str | None]:
        """Return the key that was regenerated: it is not there any more to verify a signature with."""
        return noted.target, noted.version or None


def _unproven(fingerprint: str, execution: Execution) -> Recovered:
    noted = Attributed(fingerprint, ActionKind.ACCOUNT_KEY, execution.target, version="")
    return Recovered(noted, Executed(execution), at=None)


def _matches_no_key(record: Revocation, left: Interrupted) -> bool:
    if record.finding.credential is None:
        return False
    keys = {name: key.value for name, key in left.keys.items()}
    _, verdict = attribute_any(record.to_weigh.readings, account=left.account.name, keys=keys)
    return verdict.reason is Reason.NO_KEY_MATCHES


def _was_made_for(tenure: Tenure, key: AccountKey, rotations: Iterable[Rotation]) -> bool:
    """Whether the key was made while the lock was held for this leak, and no rotation for another is recorded.

    Such a rotation may have ended just before this tenure began.
    """
    first, last = tenure.acquired_at - _CLOCK_SKEW, tenure.deadline + TAKEOVER_TIME
    of_another = any(r.new_sha256 == key.sha256 and r.fingerprint != tenure.fingerprint for r in rotations)
    return not of_another and key.created is not None and first <= key.created <= last


def by_listing(target: str, old_sha256: str, key: AccountKey, *, at: datetime) -> Execution:
    """Return the execution that ARM's list of keys shows. `at` is used if ARM does not say when."""
    return Execution(
        action=ActionKind.ACCOUNT_KEY,
        target=target,
        at=key.created or at,
        old_sha256=old_sha256,
        new_sha256=key.sha256,
        confirmed_by="listing",
        correlation_id=None,
    )


def _sas_keys(keys: list[StorageAccountKey]) -> dict[str, AccountKey]:
    return {
        str(key.key_name): AccountKey(str(key.value), key.creation_time)
        for key in keys
        if key.key_name in KEY_NAMES and key.value
    }
