"""The four ways to kill a credential, side by side: who breaks, and what is proven of a pull."""

from collections.abc import Mapping

from shared.actions.account_key import AccountKeyLever
from shared.actions.delegation_key import DelegationKeyLever
from shared.actions.lockdown import LockdownLever
from shared.actions.stored_policy import StoredPolicyLever
from shared.domain.account import AccountFacts, AccountKey
from shared.domain.revocation import Proof, Revocation
from shared.domain.target import KEY_NAMES, Lever, Lockdown, PolicyTarget
from shared.errors import Blocked


class Levers:
    """Every lever, by what a plan or a record names."""

    def __init__(
        self,
        *,
        account_key: AccountKeyLever,
        stored_policy: StoredPolicyLever,
        delegation_key: DelegationKeyLever,
        lockdown: LockdownLever,
    ) -> None:
        self.account_key = account_key
        self.stored_policy = stored_policy
        self.delegation_key = delegation_key
        self.lockdown = lockdown

    def describe(self, account: AccountFacts, lever: Lever, target: str) -> tuple[str, ...]:
        """Return who breaks when `lever` is pulled on `target`, one English sentence each."""
        match lever:
            case Lever.ACCOUNT_KEY:
                return self.account_key.describe(account, target)
            case Lever.STORED_POLICY:
                return self.stored_policy.describe(account, PolicyTarget.parse(target))
            case Lever.DELEGATION_KEY:
                return self.delegation_key.describe(account)
            case Lever.LOCKDOWN:
                return self.lockdown.describe(account, Lockdown(target))

    async def prove(self, revocation: Revocation) -> Proof:
        """Return what is proven by now of what `revocation` pulled. Raises PassingFailure or Blocked."""
        pull, account = revocation.pull, revocation.account
        if pull is None or account is None:
            raise ValueError("only what was pulled can be proven")
        match pull.lever:
            case Lever.ACCOUNT_KEY:
                return await self.account_key.prove(pull, account)
            case Lever.STORED_POLICY:
                keys = await self.account_key.keys(account)
                return await self.stored_policy.prove(pull, account, key=signer(keys, revocation.key_name))
            case Lever.DELEGATION_KEY:
                return await self.delegation_key.prove(pull, account)
            case Lever.LOCKDOWN:
                if revocation.lockdown is None:
                    raise Blocked(
                        "The record does not say how the account was before its lockdown. Look at it in ARM."
                    )
                return await self.lockdown.prove(pull, account, revocation.lockdown)


def signer(keys: Mapping[str, AccountKey], key_name: str | None) -> AccountKey:
    """Return the key that is behind a leak; where none is known to be (an order), either serves."""
    return keys[key_name or KEY_NAMES[0]]
