"""Delegation key action: revoke all user delegation keys of an account, and with them every SAS that they signed.

ARM: Storage Accounts - Revoke User Delegation Keys (2026-09-01). There is no narrower action, and ARM shows nothing
of it afterwards. Revoking twice has the same result, so after a lost answer it is done again.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta
from typing import override
from urllib.parse import urlsplit

from azure.mgmt.storage.aio import StorageManagementClient

from shared.actions.action import ContainmentAction, Executed, Interrupted, Job
from shared.actions.az_cli import CliAccount
from shared.actions.liveness import LivenessCheck
from shared.actions.user_delegation import UserDelegation, mint
from shared.actions.verification import Probe, Subject, Verifier, object_name, token_period
from shared.cloud.arm_write import answered, once
from shared.cloud.errors import from_account
from shared.domain.account import AccountFacts
from shared.domain.decision.action_spec import NOTIFY, ActionSpec
from shared.domain.decision.attribution import Verdict
from shared.domain.decision.snapshot import Snapshot
from shared.domain.decision.user_delegation import version
from shared.domain.execution import Execution, Liveness, Plan, Verification, VerificationToken
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.target import DELEGATION_KEYS, ActionKind, InvalidTarget
from shared.domain.text import Code
from shared.errors import SasquashError
from shared.persistence.account_rows import Attributed
from shared.sas import Credential, Service

_log = logging.getLogger(__name__)

_REVOKE_TIMEOUT = 25.0  # seconds; within persistence.accounts.EXECUTION_TIME
_MINT_TIMEOUT = 5.0  # seconds; the revocation waits for it
_CLOCK_SKEW = timedelta(minutes=1)  # between us and Entra ID
_WRITE_SKEW = timedelta(seconds=5)  # between our instances

_SUBJECT = Subject(
    "a user delegation SAS of our own from before the revocation",
    "one by a user delegation key from after it",
    accepted="its signature was found good",
)
_NO_TOKENS = (
    "We could not get a user delegation SAS of our own before the revocation (role Storage Blob Delegator, see "
    "docs/rights.md), so only ARM's answer shows that it happened."
)


class DelegationKeySpec(ActionSpec):
    """The texts and rules of revoking user delegation keys."""

    kind = ActionKind.DELEGATION_KEY
    impact_texts = (
        "Every user delegation SAS of {account}, from every issuer: all of them are revoked, not only the leaked "
        "one.",
        "Every app that issues such SAS and caches its user delegation key: it has to get a new key, and Azure "
        "refuses the tokens that it issues until then.",
        "Account keys, the SAS that they signed, and access with Entra ID are not affected.",
    )
    done_text = "All user delegation keys of {account} were revoked."
    used_text = "a user delegation SAS of the account"
    recovery_texts = ("Each issuer of user delegation SAS for the account has to get a new user delegation key.",)
    still_accepted_text = (
        "Remove the token's issuer from the data roles on the account: a user delegation SAS grants no more than its "
        "issuer has. Then open a support request."
    )
    shared_key_text = ""

    def check_target(self, target: str) -> None:
        """Return for "all". Raises InvalidTarget."""
        if target != DELEGATION_KEYS:
            raise InvalidTarget(f"the target of delegation_key is {DELEGATION_KEYS}")

    @override
    def version(self, snapshot: Snapshot, target: str) -> str:
        """Return what an order binds to: our latest revocation."""
        last = snapshot.last(self.kind)
        return version(None, last_execution=last.at if last is not None else None)

    @override
    def steps(self, account: AccountFacts, target: str) -> tuple[str, ...]:
        """Return the steps."""
        return (
            f"Revoke all user delegation keys of {account.name}, once.",
            "Verify with a token of our own that tokens signed by them are refused.",
            NOTIFY,
        )

    @override
    def ends(self, plan: Plan, verdict: Verdict, own_plan: Plan | None) -> bool:
        """Whether it is a user delegation SAS: one that was reported before the revocation was signed before it."""
        return verdict.action is self.kind

    @override
    def by_hand(self, account_id: str | None, target: str | None) -> Code | None:
        """Return the command that revokes the keys."""
        account = CliAccount.of(account_id)
        if account is None:
            return None
        return Code(f"az storage account revoke-delegation-keys {account.in_group('--name')}")


@dataclass(frozen=True)
class DelegationKeyAction(ContainmentAction):
    """Revokes an account's user delegation keys. `client_for` takes a subscription."""

    spec = DelegationKeySpec()
    can_be_read_back = False

    client_for: Callable[[str], StorageManagementClient]
    verifier: Verifier
    _: KW_ONLY
    delegation: UserDelegation
    liveness: LivenessCheck
    clock: Callable[[], datetime]
    new_id: Callable[[], str]

    async def check(self, credential: Credential, token: str, account: AccountFacts) -> Liveness:
        """Ask Azure, once, whether it accepts the leaked `token`; `credential` is the token without its secret."""
        return await self.liveness.ask(credential, token, account)

    @override
    async def mint(self, job: Job) -> tuple[VerificationToken, ...]:
        """Return a token of our own; none where the account or our rights don't allow it."""
        account = job.account
        endpoint = account.endpoints.get(Service.BLOB)
        if endpoint is None:
            return ()
        starts, expires = token_period(account, self.clock())
        name = f"{object_name(self.new_id())}/none"
        try:
            async with asyncio.timeout(_MINT_TIMEOUT):
                key = await self.delegation.key(account, start=starts, expiry=expires)
            query = mint(account, name, starts=starts, expires=expires, key=key)
        except SasquashError as error:
            _log.warning("No verification token for the user delegation keys of %s: %s", account.name, error)
            return ()
        except TimeoutError:
            _log.warning("No verification token for the user delegation keys of %s in time.", account.name)
            return ()
        return (VerificationToken(Service.BLOB, f"{endpoint}{name}", query, expires),)

    @override
    async def execute(self, job: Job, tokens: tuple[VerificationToken, ...]) -> Executed:
        """Revoke the account's user delegation keys. Idempotent."""
        account, correlation_id = job.account, self.new_id()
        doing = f"Revoking the user delegation keys of {account.name}"
        client = self.client_for(account.subscription)
        async with (
            self.verifier.trying(tokens) as tried,
            answered(doing, within=_REVOKE_TIMEOUT, meaning=from_account),
        ):
            await client.storage_accounts.revoke_user_delegation_keys(
                account.resource_group, account.name, **once(correlation_id)
            )
            at = self.clock()
        return Executed(_execution(at, correlation_id, tuple(tried)))

    @override
    async def verify(self, execution: Execution, account: AccountFacts, record: Revocation) -> Verification:
        """Return what is verified: by ARM's answer, and by tokens of our own from before and after it.

        Azure caches user delegation keys and role assignments for an undocumented time: pending meanwhile.
        """
        shown = f"ARM: the revocation of all user delegation keys of {account.name} was answered with success."
        if not execution.verification_tokens:
            shown = f"{shown} {_NO_TOKENS}"
        tokens = [token for token in execution.verification_tokens if token.expires > self.clock()]
        try:
            probes = [Probe(_SUBJECT, token, await self._control(token, account, execution)) for token in tokens]
        except SasquashError as error:
            # Each its own control: what is refused then counts only if it was accepted before.
            probes = [Probe(_SUBJECT, token, token.query) for token in tokens]
            shown = f"{shown} There is nothing to compare with: {error}"
        return await self.verifier.verdict(execution, account, probes, shown=shown)

    async def _control(self, token: VerificationToken, account: AccountFacts, execution: Execution) -> str:
        """Return the query of the same token by a new key, which is not valid before the revocation."""
        key = await self.delegation.key(account, start=execution.at, expiry=token.expires + _CLOCK_SKEW)
        name = urlsplit(token.url).path.lstrip("/")
        return mint(account, name, starts=execution.at, expires=token.expires, key=key)

    @override
    async def settle(self, noted: Attributed, left: Interrupted) -> Executed | None:
        """Return the revocation that is recorded for one of the noted leaks since it was reported."""
        since = {record.fingerprint: (record.reached(State.RECEIVED) or record.received_at) for record in left.noted}
        for rotation in left.rotations:
            asked = since.get(rotation.fingerprint)
            if rotation.action is noted.action and asked is not None and rotation.at > asked - _WRITE_SKEW:
                return Executed(_execution(rotation.at, None))
        return None


def _execution(at: datetime, correlation_id: str | None, tokens: tuple[VerificationToken, ...] = ()) -> Execution:
    return Execution(
        action=ActionKind.DELEGATION_KEY,
        target=DELEGATION_KEYS,
        at=at,
        old_sha256="",
        new_sha256="",
        confirmed_by="answer",
        correlation_id=correlation_id,
        verification_tokens=tokens,
    )
