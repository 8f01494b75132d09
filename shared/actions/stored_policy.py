"""Stored access policy action: revoke one policy, and with it every SAS that names it.

The policy stays as a tombstone, its end in the past, because re-creating a policy of its id makes old tokens valid
again; the account's tag may ask to delete it instead. All other policies go back as they were read.
Source: REST, "Define a stored access policy".
"""

import re
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import override

from shared.actions.acl import verification_tokens
from shared.actions.acl.data_plane import Unreachable
from shared.actions.acl.lists import PolicyLists
from shared.actions.acl.policies import MOST_POLICIES, NO_POLICY, Policies, entombed, find, without
from shared.actions.action import ContainmentAction, Executed, Interrupted, Job, signer
from shared.actions.az_cli import CliAccount
from shared.actions.verification import Verifier, object_name, token_period
from shared.domain.account import (
    POLICY_REMOVAL_TAG,
    AccountFacts,
    AccountKey,
    PolicyReading,
    PolicyState,
    Removal,
    Via,
)
from shared.domain.decision.action_spec import NOTIFY, ActionSpec
from shared.domain.decision.attribution import Verdict
from shared.domain.decision.snapshot import Snapshot
from shared.domain.execution import Execution, Outcome, Plan, Verification, VerificationToken
from shared.domain.revocation import Revocation
from shared.domain.target import ActionKind, InvalidTarget, PolicyTarget
from shared.domain.text import Code, Foreign
from shared.errors import Blocked, NotFound, TransientFailure
from shared.persistence.account_rows import Attributed
from shared.redaction import redact
from shared.sas import Service

_REVOKED_BEFORE = "The policy had been revoked before: nothing was changed."
_DELETED = (
    f"The policy was deleted, as the account's tag {POLICY_REMOVAL_TAG} asks: re-creating its id would make the "
    "leaked token valid again."
)
_PLAIN_POLICY = re.compile(r"[A-Za-z0-9][\w. +=-]{0,63}", re.ASCII)
# The group of commands and the option for the name. All of them fetch the account's key. Only those of containers
# know --auth-mode, and warn without it (Azure CLI 2.91, tests/tools/test_azure_cli.py).
_POLICY_COMMANDS = {
    Service.BLOB: ("container", "--auth-mode key --container-name"),
    Service.QUEUE: ("queue", "--queue-name"),
    Service.TABLE: ("table", "--table-name"),
    Service.FILE: ("share", "--share-name"),
}


class StoredPolicySpec(ActionSpec):
    """The texts and rules of revoking a stored access policy."""

    kind = ActionKind.STORED_POLICY
    may_run_at_deadline = True
    request_id_name = "request"
    impact_texts = (
        "Every client that uses a SAS of {target} in account {account}, including SAS tokens that did not leak.",
        "Nothing else: SAS of other policies and of other resources, account keys and Entra ID access work as "
        "before.",
    )
    done_text = "{target} of {account} was revoked."
    others_text = "{target} was ended"
    found_text = "{target} of {account} was ended by somebody else: Sasquash changed nothing."
    recovery_texts = (
        "Issue new tokens under a policy of another id, or better: user delegation SAS, read-only, for the paths "
        "they need, and short-lived. Never re-create or extend {target}: the leaked token would work again.",
    )
    still_accepted_text = (
        "Check {target}: revoke it again if somebody re-created it. If it is not in force and its tokens are still "
        "accepted, regenerate {key}, which also revokes everything else that the key signed."
    )

    def check_target(self, target: str) -> None:
        """Return for a policy on a resource, as `PolicyTarget.parse` reads it. Raises InvalidTarget."""
        PolicyTarget.parse(target)

    def version(self, snapshot: Snapshot, target: str) -> str:
        """Return the policy's version as it was read."""
        return snapshot.policies[target].version

    def title(self, target: str) -> str:
        """Return what the policy is called: "the stored access policy 'partners' of container models"."""
        return PolicyTarget.parse(target).title

    def steps(self, account: AccountFacts, target: str) -> tuple[str, ...]:
        """Return the steps; the account's tag says what is left of the policy."""
        policy = self.title(target)
        left = (
            f"Delete {policy}, as the account's tag asks; every other policy there stays as it is."
            if account.removal is Removal.DELETE
            else f"Replace {policy} by a tombstone, the same id with an end in the past; every other policy stays as "
            "it is."
        )
        return (left, "Verify with a token of our own under the policy that it is refused.", NOTIFY)

    def ends(self, plan: Plan, verdict: Verdict, own_plan: Plan | None) -> bool:
        """Whether it is a token of the same policy, which was in force."""
        same = own_plan is not None and (own_plan.action, own_plan.target) == (plan.action, plan.target)
        return verdict.reason is None and same

    def done(self, target: str, account: str) -> str:
        """Return that the policy was revoked."""
        text = super().done(target, account)
        return f"{text[0].upper()}{text[1:]}"

    @override
    def by_others(self, target: str, *, undone: bool) -> str:
        """Return what others did to the policy."""
        text = super().by_others(target, undone=undone)
        return f"{text[0].upper()}{text[1:]}"

    def used(self, target: str) -> str:
        """Return the policy's id."""
        return f"the stored access policy {Foreign(PolicyTarget.parse(target).policy)}"

    def by_hand(self, account_id: str | None, target: str | None) -> Code | None:
        """Return the command that sets the policy's end into the past; None if it can't be written safely."""
        account = CliAccount.of(account_id)
        try:
            policy = PolicyTarget.parse(target or "")
        except InvalidTarget:
            return None
        if account is None or not _PLAIN_POLICY.fullmatch(policy.policy) or redact(policy.policy) != policy.policy:
            return None
        named = f"--name {shlex.quote(policy.policy)} --expiry 2000-01-01T00:00:00Z"
        return Code(f"{_policies_command('update', account, policy)} {named}")


def list_policies_command(account_id: str | None, place: PolicyTarget) -> Code | None:
    """Return the command that lists the stored access policies where `place` is one; None for an id of no account."""
    account = CliAccount.of(account_id)
    return Code(_policies_command("list", account, place)) if account is not None else None


def _policies_command(verb: str, account: CliAccount, place: PolicyTarget) -> str:
    group, option = _POLICY_COMMANDS[place.service]
    resource = shlex.quote(place.resource)
    return f"az storage {group} policy {verb} {account.by_name} {option} {resource}"


class Revived(TransientFailure):
    """A policy that was gone exists again, and is in force."""


@dataclass(frozen=True)
class StoredPolicyAction(ContainmentAction):
    """Revokes stored access policies. `list_keys` returns an account's keys by name."""

    spec = StoredPolicySpec()

    lists: PolicyLists
    verifier: Verifier
    list_keys: Callable[[AccountFacts], Awaitable[Mapping[str, AccountKey]]]
    _: KW_ONLY
    clock: Callable[[], datetime]
    new_id: Callable[[], str]

    async def read(self, account: AccountFacts, target: PolicyTarget, *, key: AccountKey) -> PolicyReading:
        """Return the policy as it stands, read by `key`, either of the account's.

        Raises TransientFailure, or Blocked where a right on ARM is missing.
        """
        try:
            policies, via = await self.lists.read(account, target, key)
        except Unreachable as error:
            return PolicyReading(target, PolicyState.UNREACHABLE, "", Via.DATA_PLANE, detail=str(error))
        found = find(policies, target.policy)
        if found is None:
            return PolicyReading(target, PolicyState.GONE, NO_POLICY, via)
        return PolicyReading(
            target,
            found.state(self.clock()),
            found.version,
            via,
            permissions=found.permissions,
            expires=found.expires,
        )

    async def in_force(self, account: AccountFacts, target: PolicyTarget, *, key: AccountKey) -> Policies:
        """Return the policies on the resource of `target` that are in force.

        Raises as `PolicyLists.read`.
        """
        policies, _ = await self.lists.read(account, target, key)
        now = self.clock()
        return tuple(policy for policy in policies if policy.state(now) is PolicyState.LIVE)

    @override
    async def mint(self, job: Job) -> tuple[VerificationToken, ...]:
        """Return a token under the policy; none where it is not in force.

        Where the policy has an end, the token is valid as long: keep it only after the execution.
        """
        account, reading = job.account, job.snapshot.policies[job.plan.target]
        if reading.target.service not in account.endpoints or reading.state is not PolicyState.LIVE:
            return ()
        _, ends = token_period(account, self.clock())
        name = object_name(self.new_id())
        return (verification_tokens.mint(account, reading, name, key=job.signer.value, ends=ends),)

    @override
    async def execute(self, job: Job, tokens: tuple[VerificationToken, ...]) -> Executed:
        """Revoke the policy: leave a tombstone, or nothing where the account's tag asks for that. Idempotent.

        What others write at the same time is kept, but for one gap that the protocol leaves: of a queue, a table, a
        share, or through ARM, a list that somebody writes between our reading and our writing, milliseconds apart,
        is replaced by ours. A list that replaces ours is detected, and ours written again on top of it.
        """
        plan, account, request_id = job.plan, job.account, self.new_id()
        target, via = PolicyTarget.parse(plan.target), job.snapshot.policies[plan.target].via
        name = f"{Foreign(plan.target)} of {account.name}"
        doing = f"Revoking policy {name}"

        def revoked(policies: Policies) -> Policies | None:
            found = find(policies, target.policy)
            if found is None and account.removal is Removal.DELETE:
                return None
            if found is not None and found.state(self.clock()) is PolicyState.TOMBSTONE:
                return None
            if found is None or found.version != plan.version:
                raise TransientFailure(f"Policy {name} changed since the plan was made.", sent=False)
            remove = without if account.removal is Removal.DELETE else entombed
            return remove(policies, target.policy)

        async with self.verifier.trying(tokens) as tried:
            try:
                changed = await self.lists.change(
                    account, target, via, revoked, key=job.signer, request_id=request_id, doing=doing
                )
            except NotFound:
                message = f"The resource of policy {name} is gone since the plan was made."
                raise TransientFailure(message, sent=False) from None
            at = self.clock()
        left = find(changed.policies, target.policy)
        execution = Execution(
            action=ActionKind.STORED_POLICY,
            target=plan.target,
            at=at,
            old_sha256=plan.version,
            new_sha256=left.version if left is not None else "",
            confirmed_by="answer" if changed.answered else "listing",
            correlation_id=request_id if changed.written else None,
            verification_tokens=tuple(tried),
            notes=(
                *changed.notes,
                *((_REVOKED_BEFORE,) if not changed.written else ()),
                *((_DELETED,) if left is None else ()),
            ),
        )
        return Executed(execution)

    async def bury(
        self, target: PolicyTarget, account: AccountFacts, reading: PolicyReading, *, key: AccountKey
    ) -> str:
        """Leave a tombstone for a policy that is gone, so that nobody re-creates its id by mistake. Idempotent.

        Returns what happened in one English sentence. Raises Revived, TransientFailure or Blocked.
        """
        policy = target.title

        def buried(policies: Policies) -> Policies | None:
            is_free = find(policies, target.policy) is None and len(policies) < MOST_POLICIES
            return entombed(policies, target.policy) if is_free else None

        doing = f"Leaving a tombstone for {policy}"
        try:
            changed = await self.lists.change(
                account, target, reading.via, buried, key=key, request_id=self.new_id(), doing=doing
            )
        except NotFound:
            return f"No tombstone could be left for {policy}, because its resource does not exist either."
        found = find(changed.policies, target.policy)
        if found is None:
            return (
                f"No tombstone could be left for {policy}: there are {MOST_POLICIES} other policies, and Azure "
                "allows no more."
            )
        match found.state(self.clock()):
            case PolicyState.TOMBSTONE if changed.written:
                return f"A tombstone was left for {policy}: its id is taken, and Azure refuses every token under it."
            case PolicyState.TOMBSTONE:
                return f"There is a tombstone for {policy} already."
            case PolicyState.EXPIRED:
                return f"No tombstone is needed for {policy}: it exists again, and is expired."
        raise Revived(f"It exists again and is in force: {policy}. It has to be evaluated again.", sent=False)

    @override
    async def verify(self, execution: Execution, account: AccountFacts, record: Revocation) -> Verification:
        """Return what is verified of the policy: by reading it, and by tokens of our own."""
        key = signer(await self.list_keys(account), record.key_name)
        target = PolicyTarget.parse(execution.target)
        reading = await self.read(account, target, key=key)
        if reading.state is PolicyState.LIVE:
            said = f"It exists and is in force, re-created or never revoked: {target.title}."
            return Verification(Outcome.STILL_ALIVE, self.clock(), (said,))
        probes = [
            verification_tokens.probe(token, target, account, key=key.value)
            for token in execution.verification_tokens
        ]
        return await self.verifier.verdict(execution, account, probes, shown=_shown(reading, target.title))

    @override
    async def settle(self, noted: Attributed, left: Interrupted) -> Executed | None:
        """Return the execution if what is left of the policy is what ours leaves: else somebody else was there.

        Raises Blocked where the policy can't be reached: nothing says that it did not happen.
        """
        target = PolicyTarget.parse(noted.target)
        reading = await self.read(left.account, target, key=signer(left.keys, None))
        if reading.state is PolicyState.UNREACHABLE:
            raise Blocked(f"It is open whether {target.title} was revoked: {reading.detail}", cause=reading.detail)
        ours = PolicyState.GONE if left.account.removal is Removal.DELETE else PolicyState.TOMBSTONE
        if reading.state is not ours or reading.version == noted.version:
            return None
        execution = Execution(
            action=ActionKind.STORED_POLICY,
            target=noted.target,
            at=self.clock(),
            old_sha256=noted.version,
            new_sha256=reading.version,
            confirmed_by="listing",
            correlation_id=None,
        )
        return Executed(execution)


def _shown(reading: PolicyReading, name: str) -> str:
    match reading.state:
        case PolicyState.UNREACHABLE:
            return f"Azure answered that it revoked {name}; it can't be read now: {reading.detail}"
        case PolicyState.GONE:
            how = "gone"
        case PolicyState.TOMBSTONE:
            how = "a tombstone, whose end is in the past"
        case _:
            how = "expired"
    return f"Read through the {reading.via}, {name} is {how}."
