"""Asks Azure whether a user delegation SAS is accepted: its signature can't be verified without the key."""

from dataclasses import dataclass
from functools import partial

from shared.actions.delegation_key import DelegationKeyAction
from shared.cloud.accounts import AccountRef, Accounts
from shared.domain.decision.user_delegation import may_be_asked, with_answer
from shared.domain.finding import Reported
from shared.domain.revocation import Revocation
from shared.persistence.store import Store

_MOST_ASKED = 8  # paths of one report: the token is sent once to each


@dataclass(frozen=True, slots=True, kw_only=True)
class LivenessCheck:
    """Asks while the token is in memory."""

    store: Store
    accounts: Accounts
    delegation_key: DelegationKeyAction

    async def checked(self, revocation: Revocation, ref: AccountRef, reported: Reported | None) -> Revocation:
        """Return the record with what Azure says to its token, where a report brought one and none was accepted yet.

        The token is tried at the paths of its own report: another one's may be wrong. Raises TransientFailure or
        Blocked.
        """
        token = reported.token if reported is not None else None
        if reported is None or token is None or not may_be_asked(revocation):
            return revocation
        facts = await self.accounts.facts(ref)
        own, *others = reported.finding.readings
        alike = (own, *(one for one in others if one.parameters == own.parameters))  # those of the token
        for credential in alike[:_MOST_ASKED]:
            liveness = await self.delegation_key.check(credential, token, facts)
            answer = partial(with_answer, credential=credential, liveness=liveness, now=self.store.clock())
            known = await self.store.revocations.change(revocation.fingerprint, answer, what=liveness.said)
            revocation = known or revocation
            if liveness.alive is True:
                break
        return revocation
