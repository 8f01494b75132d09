"""The stored access policy lever: end one policy, and with it every SAS that names it.

The policy stays as a tombstone, its end in the past, because a policy made anew under its id makes old tokens valid
again; the account's tag may ask to delete it instead. All other policies go back as they were read.
Source: REST, "Define a stored access policy".
"""

import asyncio
import re
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import override

from azure.mgmt.storage.aio import StorageManagementClient

from shared.actions.acl import arm, verification_tokens
from shared.actions.acl.arm import ArmAcl
from shared.actions.acl.data_plane import AclStore, DataPlaneAcl, Overtaken, Unreachable
from shared.actions.acl.policies import MOST_POLICIES, NO_POLICY, Policies, entombed, find, without
from shared.actions.az_cli import CliAccount
from shared.actions.verification import LIFETIME, Verifier, object_name
from shared.cloud.data_plane import Transport
from shared.domain.account import (
    POLICY_REMOVAL_TAG,
    AccountFacts,
    AccountKey,
    PolicyReading,
    PolicyState,
    Removal,
    Via,
)
from shared.domain.decision.action_spec import NOTIFY, SHARED_KEY_IS_OFF, ActionSpec
from shared.domain.decision.attribution import Verdict
from shared.domain.decision.snapshot import Snapshot
from shared.domain.revocation import Execution, Outcome, Plan, Revocation, Verification, VerificationToken
from shared.domain.target import ActionKind, InvalidTarget, PolicyTarget
from shared.errors import NotFound, TransientFailure
from shared.sas import Service

_PULL_TIMEOUT = 25.0  # seconds; far inside account_table.WORK_TIME
_ROUNDS = 5
_SECOND = 1.0  # the grain of Last-Modified

_IMPACT = (
    "Every client that uses a SAS of {policy} in account {account}, including SAS tokens that did not leak.",
    "Nothing else: SAS of other policies and of other resources, account keys and Entra access go on as before.",
)
_ENDED_BEFORE = "The policy had been ended before: nothing was changed."
_DELETED = (
    f"The policy is gone, as the account's tag {POLICY_REMOVAL_TAG} asks: one made anew under its id would make the "
    "leaked token valid again."
)
_PLAIN_POLICY = re.compile(r"[A-Za-z0-9][\w. +=-]{0,63}", re.ASCII)
_POLICY_COMMANDS = {
    Service.BLOB: ("container", "--container-name"),
    Service.QUEUE: ("queue", "--queue-name"),
    Service.TABLE: ("table", "--table-name"),
    Service.FILE: ("share", "--share-name"),
}


class StoredPolicySpec(ActionSpec):
    """The texts and rules of revoking a stored access policy."""

    kind = ActionKind.STORED_POLICY
    may_run_at_deadline = True
    request_id_name = "request"

    def check_target(self, target: str) -> None:
        """Return for a policy on a resource, as `PolicyTarget.parse` reads it. Raises InvalidTarget."""
        PolicyTarget.parse(target)

    def version(self, snapshot: Snapshot, target: str) -> str:
        """Return the policy's version as it was read."""
        return snapshot.policies[target].version

    def impact(self, account: AccountFacts, target: str) -> tuple[str, ...]:
        """Return who uses the policy's tokens, and that nobody else is affected."""
        policy = PolicyTarget.parse(target).title
        return tuple(line.format(policy=policy, account=account.name) for line in _IMPACT)

    def steps(self, account: AccountFacts, target: str) -> tuple[str, ...]:
        """Return the steps; the account's tag says what is left of the policy."""
        policy = PolicyTarget.parse(target).title
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
        name = PolicyTarget.parse(target).title
        return f"{name[0].upper()}{name[1:]} of {account} was revoked."

    def used(self, target: str) -> str:
        """Return the policy's id."""
        return f"the stored access policy {PolicyTarget.parse(target).policy}"

    @override
    def if_shared_key_is_off(self, target: str) -> str:
        """Return that the policy's tokens are refused for now."""
        return SHARED_KEY_IS_OFF

    def by_hand(self, account_id: str | None, target: str | None) -> str | None:
        """Return the command that sets the policy's end into the past; None if it can't be written safely."""
        account = CliAccount.of(account_id)
        try:
            policy = PolicyTarget.parse(target or "")
        except InvalidTarget:
            return None
        if account is None or not _PLAIN_POLICY.fullmatch(policy.policy):
            return None
        named = f"--name {shlex.quote(policy.policy)} --expiry 2000-01-01T00:00:00Z"
        return f"{_policies_command('update', account, policy)} {named}"

    @override
    def afterwards(self, account_id: str | None, target: str | None) -> str | None:
        """Return None: new tokens need a new policy, which its owner has to choose."""
        return None

    @override
    def recovery(self, revocation: Revocation, execution: Execution) -> tuple[str, ...]:
        """Return what to issue instead, and what would re-enable the leaked token."""
        return (
            "Issue new tokens under a policy of another id, or better: user delegation SAS, read-only, for the paths "
            f"they need, and short-lived. Never re-create or extend {PolicyTarget.parse(execution.target).title}: "
            "the leaked token would work again.",
        )

    def if_still_accepted(self, revocation: Revocation, execution: Execution) -> str:
        """Return how to revoke the policy again, or the key that signed its tokens."""
        return (
            f"Check {PolicyTarget.parse(execution.target).title}: revoke it again if somebody re-created it. If "
            "it is not in force and its tokens are still accepted, regenerate "
            f"{revocation.key_name or 'the key that signed them'}, which also revokes everything else that the key "
            "signed."
        )


def list_policies_command(account_id: str | None, place: PolicyTarget) -> str | None:
    """Return the command that lists the stored access policies where `place` is one; None for an id of no account."""
    account = CliAccount.of(account_id)
    return _policies_command("list", account, place) if account is not None else None


def _policies_command(verb: str, account: CliAccount, place: PolicyTarget) -> str:
    group, option = _POLICY_COMMANDS[place.service]
    resource = shlex.quote(place.resource)
    return f"az storage {group} policy {verb} {account.by_name} --auth-mode key {option} {resource}"


class Revived(TransientFailure):
    """A policy that was gone is there again, and live."""


@dataclass(frozen=True, slots=True)
class _Changed:
    """How the policies stand after a change. `written`: we wrote; `answered`: Azure said that it was done."""

    policies: Policies
    written: bool
    answered: bool
    notes: tuple[str, ...]


class StoredPolicyAction:
    """Describes, reads, pulls and proves the end of a stored access policy."""

    def __init__(
        self,
        client_for: Callable[[str], StorageManagementClient],
        verifier: Verifier,
        new_transport: Callable[[], Transport],
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client_for = client_for
        self._verifier = verifier
        self._new_transport = new_transport
        self._clock = clock
        self._new_id = new_id
        self._pause = pause

    async def read(self, account: AccountFacts, target: PolicyTarget, *, key: AccountKey) -> PolicyReading:
        """Return the policy as it stands, read by `key`, either of the account's.

        Where the data plane can't be reached, tables and file shares are read through ARM; containers and queues are
        UNREACHABLE. Raises TransientFailure, or Blocked where a right on ARM is missing.
        """
        try:
            policies, via = await self._policies(account, target, key)
        except Unreachable as error:
            return PolicyReading(target, PolicyState.UNREACHABLE, "", Via.DATA_PLANE, detail=str(error))
        found = find(policies, target.policy)
        if found is None:
            return PolicyReading(target, PolicyState.GONE, NO_POLICY, via)
        return PolicyReading(
            target,
            found.state(self._clock()),
            found.version,
            via,
            permissions=found.permissions,
            expires=found.expires,
        )

    async def not_over(self, account: AccountFacts, target: PolicyTarget, *, key: AccountKey) -> Policies:
        """Return the policies on the resource of `target` that are not over, read as by `read`.

        Raises Unreachable where `read` says so, TransientFailure or Blocked.
        """
        policies, _ = await self._policies(account, target, key)
        now = self._clock()
        return tuple(policy for policy in policies if policy.state(now) is PolicyState.LIVE)

    async def _policies(self, account: AccountFacts, target: PolicyTarget, key: AccountKey) -> tuple[Policies, Via]:
        """Return what the resource of `target` has, nothing where there is no such resource, and how it was read."""
        try:
            return await self._listed(account, target, Via.DATA_PLANE, key), Via.DATA_PLANE
        except Unreachable:
            if target.service not in arm.SERVICES:
                raise
        return await self._listed(account, target, Via.ARM, key), Via.ARM

    async def _listed(self, account: AccountFacts, target: PolicyTarget, via: Via, key: AccountKey) -> Policies:
        try:
            async with self._store(account, target, via, key=key, request_id=self._new_id()) as store:
                return (await store.read()).policies
        except NotFound:
            return ()

    def mint(
        self, account: AccountFacts, reading: PolicyReading, *, key: AccountKey
    ) -> tuple[VerificationToken, ...]:
        """Return a proof token that hangs on the policy, as `policy_tokens.mint` does; none where it is not live.

        Where the policy has an end, the token lives as long: keep it only once the lever was pulled.
        """
        if reading.target.service not in account.endpoints or reading.state is not PolicyState.LIVE:
            return ()
        ends = (self._clock() + LIFETIME).replace(microsecond=0)
        name = object_name(self._new_id())
        return (verification_tokens.mint(account, reading, name, key=key.value, ends=ends),)

    async def execute(
        self,
        plan: Plan,
        account: AccountFacts,
        reading: PolicyReading,
        *,
        key: AccountKey,
        tokens: tuple[VerificationToken, ...],
    ) -> Execution:
        """End the policy: leave a tombstone, or nothing where the account's tag asks for that. Idempotent.

        Meanwhile the proof tokens are tried. Raises Blocked (nothing happened), or TransientFailure: try again; its
        `sent` is False where nothing was written.

        What others write at the same time survives, but for one gap that the protocol leaves: of a queue, a table, a
        share, or through ARM, a list that somebody writes between our reading and our writing, milliseconds apart,
        is replaced by ours. A list that replaces ours is seen, and ours written again on top of it.
        """
        target = PolicyTarget.parse(plan.target)
        request_id = self._new_id()

        def ended(policies: Policies) -> Policies | None:
            found = find(policies, target.policy)
            if found is None and account.removal is Removal.DELETE:
                return None
            if found is not None and found.state(self._clock()) is PolicyState.TOMBSTONE:
                return None
            if found is None or found.version != plan.version:
                raise TransientFailure(
                    f"Policy {target} of {account.name} changed since the plan was made.", sent=False
                )
            remove = without if account.removal is Removal.DELETE else entombed
            return remove(policies, target.policy)

        async with self._verifier.trying(tokens) as tried:
            try:
                async with self._store(account, target, reading.via, key=key, request_id=request_id) as store:
                    changed = await self._change(store, ended, doing=f"Ending policy {target} of {account.name}")
            except NotFound:
                message = f"The resource of policy {target} of {account.name} is gone since the plan was made."
                raise TransientFailure(message, sent=False) from None
            at = self._clock()
        left = find(changed.policies, target.policy)
        return Execution(
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
                *((_ENDED_BEFORE,) if not changed.written else ()),
                *((_DELETED,) if left is None else ()),
            ),
        )

    async def bury(
        self, target: PolicyTarget, account: AccountFacts, reading: PolicyReading, *, key: AccountKey
    ) -> str:
        """Leave a tombstone for a policy that is gone, lest a new one of its id revive the leak. Idempotent.

        Returns what happened in one English sentence. Raises Revived, TransientFailure or Blocked.
        """
        policy = target.title

        def buried(policies: Policies) -> Policies | None:
            is_free = find(policies, target.policy) is None and len(policies) < MOST_POLICIES
            return entombed(policies, target.policy) if is_free else None

        try:
            async with self._store(account, target, reading.via, key=key, request_id=self._new_id()) as store:
                changed = await self._change(store, buried, doing=f"Leaving a tombstone for {policy}")
        except NotFound:
            return f"No tombstone could be left for {policy}, since what it was on is not there either."
        found = find(changed.policies, target.policy)
        if found is None:
            return (
                f"No tombstone could be left for {policy}: there are {MOST_POLICIES} other policies, and Azure takes "
                "no more."
            )
        match found.state(self._clock()):
            case PolicyState.TOMBSTONE if changed.written:
                return f"A tombstone was left for {policy}: its id is taken, and refuses every token."
            case PolicyState.TOMBSTONE:
                return f"There is a tombstone for {policy} already."
            case PolicyState.EXPIRED:
                return f"No tombstone is needed for {policy}: it is there again, and expired."
        raise Revived(f"It is there again and live: {policy}. It has to be weighed anew.", sent=False)

    async def verify(self, execution: Execution, account: AccountFacts, *, key: AccountKey) -> Verification:
        """Return what is proven of the policy's death by now. `key` is the one that signed the leak, as it is now."""
        target = PolicyTarget.parse(execution.target)
        name = target.title
        reading = await self.read(account, target, key=key)
        if reading.state is PolicyState.LIVE:
            said = f"It is there and live, whether made anew or never ended: {name}."
            return Verification(Outcome.STILL_ALIVE, self._clock(), (said,))
        probes = [
            verification_tokens.probe(token, target, account, key=key.value)
            for token in execution.verification_tokens
        ]
        return await self._verifier.verdict(execution, account, probes, shown=_shown(reading, name))

    async def _change(
        self, store: AclStore, change: Callable[[Policies], Policies | None], *, doing: str
    ) -> _Changed:
        """Read and write until `change`, which returns the policies as they should be, says None: they are.

        A lost answer is settled by reading once more. Raises TransientFailure or Blocked.
        """
        written = answered = False
        lost: TransientFailure | None = None
        waited_out: str | None = None
        try:
            async with asyncio.timeout(_PULL_TIMEOUT):
                for _ in range(_ROUNDS):
                    read = await store.read()
                    wanted = change(read.policies)
                    if wanted is None:
                        return _Changed(
                            read.policies, written, answered, tuple(dict.fromkeys(store.notes)) if written else ()
                        )
                    if lost is not None:
                        written = answered  # a write whose answer was lost, and that is not there, was none
                        raise lost
                    if not read.settled and read.last_modified != waited_out:
                        waited_out = read.last_modified
                        await self._pause(_SECOND)
                        continue
                    before, written = written, True  # from here on, whatever happens
                    try:
                        await store.write(read, wanted)
                        answered = True
                    except Overtaken:
                        written = before
                    except TransientFailure as error:
                        if error.had_no_effect:
                            written = before
                            raise
                        lost = error
        except TimeoutError:
            raise TransientFailure(f"{doing} was not done within {_PULL_TIMEOUT:.0f} s.", sent=written) from None
        except TransientFailure as error:
            raise TransientFailure(str(error), retry_after=error.retry_after, sent=written) from error
        raise TransientFailure(f"{doing} failed: somebody else keeps changing the policies.", sent=written)

    @asynccontextmanager
    async def _store(
        self, account: AccountFacts, target: PolicyTarget, via: Via, *, key: AccountKey, request_id: str
    ) -> AsyncIterator[AclStore]:
        if via is Via.ARM:
            yield ArmAcl(self._client_for(account.subscription), account, target, correlation_id=request_id)
            return
        async with self._new_transport() as transport:
            yield DataPlaneAcl(
                transport,
                account,
                target,
                key=key,
                request_id=request_id,
                clock=self._clock,
                pause=self._pause,
            )


def _shown(reading: PolicyReading, name: str) -> str:
    match reading.state:
        case PolicyState.UNREACHABLE:
            return f"Azure answered that it ended {name}; it can't be read now: {reading.detail}"
        case PolicyState.GONE:
            how = "gone"
        case PolicyState.TOMBSTONE:
            how = "a tombstone, whose end is in the past"
        case _:
            how = "expired"
    return f"Read through the {reading.via}, {name} is {how}."
