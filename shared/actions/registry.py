"""The four ways to kill a credential, side by side: who breaks, and what is proven of a pull."""

from collections.abc import Mapping
from types import MappingProxyType

from shared.actions.account_key import AccountKeyAction, AccountKeySpec
from shared.actions.delegation_key import DelegationKeyAction, DelegationKeySpec
from shared.actions.lockdown import LockdownAction, LockdownSpec
from shared.actions.stored_policy import StoredPolicyAction, StoredPolicySpec
from shared.domain.account import AccountKey
from shared.domain.decision.action_spec import ActionSpecs
from shared.domain.revocation import Revocation, Verification
from shared.domain.target import KEY_NAMES, ActionKind
from shared.errors import Blocked

ACTION_SPECS: ActionSpecs = MappingProxyType(
    {spec.kind: spec for spec in (AccountKeySpec(), StoredPolicySpec(), DelegationKeySpec(), LockdownSpec())}
)
"""The pure half of every action, by name."""


class Actions:
    """Every lever, by what a plan or a record names."""

    def __init__(
        self,
        *,
        account_key: AccountKeyAction,
        stored_policy: StoredPolicyAction,
        delegation_key: DelegationKeyAction,
        lockdown: LockdownAction,
    ) -> None:
        self.account_key = account_key
        self.stored_policy = stored_policy
        self.delegation_key = delegation_key
        self.lockdown = lockdown

    async def verify(self, revocation: Revocation) -> Verification:
        """Return what is proven by now of what `revocation` pulled. Raises TransientFailure or Blocked."""
        execution, account = revocation.execution, revocation.account
        if execution is None or account is None:
            raise ValueError("only what was pulled can be proven")
        match execution.action:
            case ActionKind.ACCOUNT_KEY:
                return await self.account_key.verify(execution, account)
            case ActionKind.STORED_POLICY:
                keys = await self.account_key.keys(account)
                return await self.stored_policy.verify(execution, account, key=signer(keys, revocation.key_name))
            case ActionKind.DELEGATION_KEY:
                return await self.delegation_key.verify(execution, account)
            case ActionKind.LOCKDOWN:
                if revocation.lockdown is None:
                    raise Blocked(
                        "The record does not say how the account was before its lockdown. Look at it in ARM."
                    )
                return await self.lockdown.verify(execution, account, revocation.lockdown)


def signer(keys: Mapping[str, AccountKey], key_name: str | None) -> AccountKey:
    """Return the key that is behind a leak; where none is known to be (an order), either serves."""
    return keys[key_name or KEY_NAMES[0]]
