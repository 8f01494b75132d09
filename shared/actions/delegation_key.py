"""The user delegation lever: revoke all user delegation keys of an account, and with them every SAS that they signed.

ARM: Storage Accounts - Revoke User Delegation Keys (2026-09-01). There is no narrower lever, and ARM shows nothing of
it afterwards. To revoke twice ends the same way, so that a lost answer is settled by doing it again.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import override
from urllib.parse import urlsplit

from azure.core.credentials_async import AsyncTokenCredential
from azure.mgmt.storage.aio import StorageManagementClient

from shared.actions.az_cli import CliAccount
from shared.actions.liveness import LivenessCheck, PrincipalExists
from shared.actions.user_delegation import UserDelegation, mint
from shared.actions.verification import LIFETIME, Probe, Subject, Verifier, object_name
from shared.cloud.arm_write import answered, once
from shared.cloud.data_plane import Transport
from shared.cloud.errors import from_account
from shared.domain.account import AccountFacts
from shared.domain.decision.action_spec import NOTIFY, ActionSpec
from shared.domain.decision.attribution import Verdict
from shared.domain.decision.snapshot import Snapshot
from shared.domain.decision.user_delegation import version
from shared.domain.revocation import Execution, Liveness, Plan, Revocation, Verification, VerificationToken
from shared.domain.target import DELEGATION_KEYS, ActionKind, InvalidTarget
from shared.errors import SasquashError
from shared.sas import Credential, Service

_log = logging.getLogger(__name__)

_REVOKE_TIMEOUT = 25.0  # seconds; far inside account_table.WORK_TIME
_MINT_TIMEOUT = 5.0  # seconds; the kill waits for it
_CLOCK_SKEW = timedelta(minutes=1)

_IMPACT = (
    "Every user delegation SAS of {account}, whoever issued it: all of them end, not only the leaked one.",
    "Every app that issues such SAS and keeps its user delegation key: it has to get a new one, and what it issues "
    "until then is refused.",
    "Account keys, the SAS that they signed, and access with Entra ID are not touched.",
)
_SUBJECT = Subject(
    "a user delegation SAS of our own from before the revocation",
    "one by a user delegation key from after it",
    accepted="its signature was found good",
)
_NO_TOKENS = (
    "No user delegation SAS of our own could be had before the revocation (role Storage Blob Delegator, see "
    "docs/rights.md), so only ARM's answer says that it happened."
)


class DelegationKeySpec(ActionSpec):
    """The texts and rules of revoking user delegation keys."""

    kind = ActionKind.DELEGATION_KEY

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
    def impact(self, account: AccountFacts, target: str) -> tuple[str, ...]:
        """Return who uses the keys, or what they signed."""
        return tuple(line.format(account=account.name) for line in _IMPACT)

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
    def done(self, target: str, account: str) -> str:
        """Return that the keys were revoked."""
        return f"All user delegation keys of {account} were revoked."

    @override
    def used(self, target: str) -> str:
        """Return the tokens that the keys signed."""
        return "a user delegation SAS of the account"

    @override
    def if_shared_key_is_off(self, target: str) -> str:
        """Return nothing: shared key access does not matter to these keys."""
        return ""

    @override
    def by_hand(self, account_id: str | None, target: str | None) -> str | None:
        """Return the command that revokes the keys."""
        account = CliAccount.of(account_id)
        if account is None:
            return None
        return f"az storage account revoke-delegation-keys {account.in_group('--name')}"

    @override
    def afterwards(self, account_id: str | None, target: str | None) -> str | None:
        """Return None: issuers get a new key by themselves."""
        return None

    @override
    def recovery(self, revocation: Revocation, execution: Execution) -> tuple[str, ...]:
        """Return what issuers have to do."""
        return ("Each issuer of user delegation SAS for the account has to get a new user delegation key.",)

    @override
    def if_still_accepted(self, revocation: Revocation, execution: Execution) -> str:
        """Return how to leave the leaked token without rights."""
        return (
            "Remove the token's issuer from the data roles on the account: a user delegation SAS grants no more than "
            "its issuer has. Then open a support request."
        )


class DelegationKeyAction:
    """Describes, checks, pulls and proves the revocation of an account's user delegation keys."""

    def __init__(
        self,
        client_for: Callable[[str], StorageManagementClient],
        verifier: Verifier,
        new_transport: Callable[[], Transport],
        *,
        credential: AsyncTokenCredential,
        principal_exists: PrincipalExists,
        tenant_id: str,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        """`principal_exists` asks Graph about an object id of the tenant `tenant_id`, which is ours."""
        self._client_for = client_for
        self._verifier = verifier
        self._delegation = UserDelegation(credential, new_transport)
        self._liveness = LivenessCheck(
            new_transport, principal_exists=principal_exists, tenant_id=tenant_id, clock=clock, new_id=new_id
        )
        self._clock = clock
        self._new_id = new_id

    async def check(self, credential: Credential, token: str, account: AccountFacts) -> Liveness:
        """Ask Azure, once, whether the leaked `token` lives; `credential` is what it is without its secret."""
        return await self._liveness.ask(credential, token, account)

    async def mint(self, account: AccountFacts) -> tuple[VerificationToken, ...]:
        """Return a proof token of our own; none where the account or our rights don't allow it."""
        endpoint = account.endpoints.get(Service.BLOB)
        if endpoint is None:
            return ()
        now = self._clock().replace(microsecond=0)
        expires = now + LIFETIME
        name = f"{object_name(self._new_id())}/none"
        try:
            async with asyncio.timeout(_MINT_TIMEOUT):
                key = await self._delegation.key(account, start=now - _CLOCK_SKEW, expiry=expires)
            query = mint(account, name, expires=expires, key=key)
        except SasquashError as error:
            _log.warning("No proof token for the user delegation keys of %s: %s", account.name, error)
            return ()
        except TimeoutError:
            _log.warning("No proof token for the user delegation keys of %s in time.", account.name)
            return ()
        return (VerificationToken(Service.BLOB, f"{endpoint}{name}", query, expires),)

    async def execute(self, plan: Plan, account: AccountFacts, *, tokens: tuple[VerificationToken, ...]) -> Execution:
        """Revoke the account's user delegation keys. Meanwhile each proof token is tried.

        Raises Throttled or Blocked (nothing happened), or TransientFailure: it may be pulled again.
        """
        correlation_id = self._new_id()
        async with self._verifier.trying(tokens) as tried:
            await self._revoke(account, correlation_id)
            at = self._clock()
        return Execution(
            action=ActionKind.DELEGATION_KEY,
            target=plan.target,
            at=at,
            old_sha256="",
            new_sha256="",
            confirmed_by="answer",
            correlation_id=correlation_id,
            verification_tokens=tuple(tried),
        )

    async def _revoke(self, account: AccountFacts, correlation_id: str) -> None:
        doing = f"Revoking the user delegation keys of {account.name}"
        client = self._client_for(account.subscription)
        async with answered(doing, within=_REVOKE_TIMEOUT, meaning=from_account):
            await client.storage_accounts.revoke_user_delegation_keys(
                account.resource_group, account.name, **once(correlation_id)
            )

    async def verify(self, execution: Execution, account: AccountFacts) -> Verification:
        """Return what is proven by now: by ARM's answer, and by tokens of our own from before and after it.

        Azure caches user delegation keys and role assignments for a time that it does not tell: pending meanwhile.
        """
        shown = f"ARM: the revocation of all user delegation keys of {account.name} was answered with success."
        if not execution.verification_tokens:
            shown = f"{shown} {_NO_TOKENS}"
        tokens = [token for token in execution.verification_tokens if token.expires > self._clock()]
        try:
            probes = [Probe(_SUBJECT, token, await self._control(token, account, execution)) for token in tokens]
        except SasquashError as error:
            # Each its own control: what is refused then counts only if it was accepted before.
            probes = [Probe(_SUBJECT, token, token.query) for token in tokens]
            shown = f"{shown} There is nothing to compare with: {error}"
        return await self._verifier.verdict(execution, account, probes, shown=shown)

    async def _control(self, token: VerificationToken, account: AccountFacts, execution: Execution) -> str:
        """Return the query of the same token by a new key, whose time does not begin before the revocation."""
        key = await self._delegation.key(account, start=execution.at, expiry=token.expires + _CLOCK_SKEW)
        return mint(account, urlsplit(token.url).path.lstrip("/"), expires=token.expires, key=key)
