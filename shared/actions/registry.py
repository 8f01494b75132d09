"""All containment actions, by name. A new action is added to `ACTION_SPECS` and to `Actions`."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Self

from azure.core.credentials_async import AsyncTokenCredential
from azure.mgmt.storage.aio import StorageManagementClient

from shared.actions.account_key import AccountKeyAction
from shared.actions.acl.lists import PolicyLists
from shared.actions.action import ContainmentAction
from shared.actions.delegation_key import DelegationKeyAction
from shared.actions.liveness import LivenessCheck
from shared.actions.lockdown import LockdownAction
from shared.actions.sas_expiration_block import SasExpirationBlockAction
from shared.actions.sas_expiration_check import ExpirationCheck
from shared.actions.stored_policy import StoredPolicyAction
from shared.actions.user_delegation import UserDelegation
from shared.actions.verification import Verifier
from shared.cloud.data_plane import Transport
from shared.domain.account import AccountFacts
from shared.domain.decision.action_spec import ActionSpecs
from shared.domain.execution import LockedDown, Verification
from shared.domain.retired_keys import RetiredKeys
from shared.domain.revocation import Revocation
from shared.domain.target import ActionKind

ACTION_SPECS: ActionSpecs = MappingProxyType(
    {
        action.spec.kind: action.spec
        for action in (
            StoredPolicyAction,
            DelegationKeyAction,
            LockdownAction,
            SasExpirationBlockAction,
            AccountKeyAction,
        )
    }
)
"""The pure half of every action, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """Every action. In this order they say what the account shows of an interrupted execution: the surest first."""

    stored_policy: StoredPolicyAction
    delegation_key: DelegationKeyAction
    lockdown: LockdownAction
    sas_expiration_block: SasExpirationBlockAction
    account_key: AccountKeyAction

    @classmethod
    def made(
        cls,
        client_for: Callable[[str], StorageManagementClient],
        new_transport: Callable[[], Transport],
        *,
        credential: AsyncTokenCredential,
        principal_exists: Callable[[str], Awaitable[bool]],
        tenant_id: str,
        retired: RetiredKeys,
        sas_block_patience: timedelta,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> Self:
        """Make every action.

        `client_for` takes a subscription. `principal_exists` asks Graph about an object id of our tenant `tenant_id`.
        `sas_block_patience` is how long Azure may take to enforce a SAS expiration policy.
        """
        verifier = Verifier(new_transport, clock=clock, new_id=new_id)
        account_key = AccountKeyAction(client_for, verifier, retired=retired, clock=clock, new_id=new_id)
        lists = PolicyLists(client_for, new_transport, clock=clock, new_id=new_id)
        liveness = LivenessCheck(
            new_transport, principal_exists=principal_exists, tenant_id=tenant_id, clock=clock, new_id=new_id
        )
        delegation = UserDelegation(credential, new_transport)
        return cls(
            stored_policy=StoredPolicyAction(lists, verifier, account_key.keys, clock=clock, new_id=new_id),
            delegation_key=DelegationKeyAction(
                client_for, verifier, delegation=delegation, liveness=liveness, clock=clock, new_id=new_id
            ),
            lockdown=LockdownAction(client_for, clock=clock, new_id=new_id),
            sas_expiration_block=SasExpirationBlockAction(
                client_for,
                ExpirationCheck(new_transport, patience=sas_block_patience, clock=clock, new_id=new_id),
                account_key.keys,
                clock=clock,
                new_id=new_id,
            ),
            account_key=account_key,
        )

    def __iter__(self) -> Iterator[ContainmentAction]:
        return (getattr(self, field.name) for field in fields(self))

    def of(self, kind: ActionKind) -> ContainmentAction:
        """Return the action of this name."""
        return next(action for action in self if action.spec.kind is kind)

    async def undo(self, locked: LockedDown, account: AccountFacts) -> LockedDown:
        """Undo what blocks a leak. Raises WrongState, TransientFailure or Blocked (`ContainmentAction.undo`)."""
        return await self.of(locked.action).undo(locked, account)

    async def verify(self, record: Revocation) -> Verification:
        """Return what is verified by now of the execution of `record`. Raises TransientFailure or Blocked."""
        if record.execution is None or record.account is None:
            raise ValueError("only an execution can be verified")
        return await self.of(record.execution.action).verify(record.execution, record.account, record)
