"""Asks Azure whether a user delegation SAS is accepted: its signature can't be verified without the key."""

from dataclasses import dataclass, replace

from shared.actions.delegation_key import DelegationKeyAction
from shared.cloud.accounts import AccountRef, Accounts
from shared.domain.revocation import Revocation
from shared.persistence.store import Store
from shared.sas import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class LivenessCheck:
    """Asks once, while the token is in memory."""

    store: Store
    accounts: Accounts
    delegation_key: DelegationKeyAction

    async def checked(self, revocation: Revocation, ref: AccountRef, token: str | None) -> Revocation:
        """Return the record with what Azure says to its token, where it has one and was not asked before.

        Raises TransientFailure or Blocked.
        """
        credential = revocation.finding.credential
        if credential is None or credential.kind is not Kind.USER_DELEGATION_SAS or token is None:
            return revocation
        if revocation.liveness is not None:
            return revocation  # Azure accepted it, when it was reported before
        liveness = await self.delegation_key.check(credential, token, await self.accounts.facts(ref))
        known = await self.store.revocations.change(
            revocation.fingerprint, lambda current: replace(current, liveness=liveness), what=liveness.said
        )
        return known or revocation
