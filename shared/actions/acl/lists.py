"""Reads and changes access-control lists of an account, over the data plane or through ARM."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import KW_ONLY, dataclass
from datetime import datetime

from azure.mgmt.storage.aio import StorageManagementClient

from shared.actions.acl import arm
from shared.actions.acl.arm import ArmAcl
from shared.actions.acl.data_plane import AclStore, DataPlaneAcl, Overtaken, Unreachable
from shared.actions.acl.policies import Policies
from shared.cloud.data_plane import Transport
from shared.domain.account import AccountFacts, AccountKey, Via
from shared.domain.target import PolicyTarget
from shared.errors import NotFound, TransientFailure

_CHANGE_TIMEOUT = 25.0  # seconds; within persistence.accounts.EXECUTION_TIME
_ROUNDS = 5
_SECOND = 1.0  # the grain of Last-Modified


@dataclass(frozen=True, slots=True)
class Changed:
    """The policies after a change. `written`: we wrote; `answered`: Azure said that it was done."""

    policies: Policies
    written: bool
    answered: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyLists:
    """The lists of stored access policies. `client_for` takes a subscription."""

    client_for: Callable[[str], StorageManagementClient]
    new_transport: Callable[[], Transport]
    _: KW_ONLY
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def read(self, account: AccountFacts, target: PolicyTarget, key: AccountKey) -> tuple[Policies, Via]:
        """Return the list on the resource of `target`, empty if there is no such resource, and how it was read.

        Where the data plane can't be reached, tables and file shares are read through ARM. Raises Unreachable for
        containers and queues; TransientFailure, or Blocked where a right on ARM is missing.
        """
        try:
            return await self._listed(account, target, Via.DATA_PLANE, key), Via.DATA_PLANE
        except Unreachable:
            if target.service not in arm.SERVICES:
                raise
        return await self._listed(account, target, Via.ARM, key), Via.ARM

    async def _listed(self, account: AccountFacts, target: PolicyTarget, via: Via, key: AccountKey) -> Policies:
        try:
            async with self._store(account, target, via, key=key, request_id=self.new_id()) as store:
                return (await store.read()).policies
        except NotFound:
            return ()

    async def change(
        self,
        account: AccountFacts,
        target: PolicyTarget,
        via: Via,
        change: Callable[[Policies], Policies | None],
        *,
        key: AccountKey,
        request_id: str,
        doing: str,
    ) -> Changed:
        """Read and write until `change`, which returns the list as it should be, returns None: it is.

        A lost answer is reconciled by reading once more. Raises NotFound (no such resource), Blocked, or
        TransientFailure, whose `sent` is False where nothing was written.
        """
        async with self._store(account, target, via, key=key, request_id=request_id) as store:
            return await self._change(store, change, doing=doing)

    async def _change(self, store: AclStore, change: Callable[[Policies], Policies | None], *, doing: str) -> Changed:
        written = answered = False
        lost: TransientFailure | None = None
        waited_out: str | None = None
        try:
            async with asyncio.timeout(_CHANGE_TIMEOUT):
                for _ in range(_ROUNDS):
                    read = await store.read()
                    wanted = change(read.policies)
                    if wanted is None:
                        notes = tuple(dict.fromkeys(store.notes)) if written else ()
                        return Changed(read.policies, written, answered, notes)
                    if lost is not None:
                        written = answered  # a write whose answer was lost, and that is not there, had no effect
                        raise lost
                    if not read.settled and read.last_modified != waited_out:
                        waited_out = read.last_modified
                        await self.pause(_SECOND)
                        continue
                    before, written = written, True  # from here on, no matter what happens
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
            raise TransientFailure(f"{doing} was not done within {_CHANGE_TIMEOUT:.0f} s.", sent=written) from None
        except TransientFailure as error:
            raise TransientFailure(str(error), retry_after=error.retry_after, sent=written) from error
        raise TransientFailure(f"{doing} failed: somebody else keeps changing the policies.", sent=written)

    @asynccontextmanager
    async def _store(
        self, account: AccountFacts, target: PolicyTarget, via: Via, *, key: AccountKey, request_id: str
    ) -> AsyncIterator[AclStore]:
        if via is Via.ARM:
            yield ArmAcl(self.client_for(account.subscription), account, target, correlation_id=request_id)
            return
        async with self.new_transport() as transport:
            yield DataPlaneAcl(
                transport, account, target, key=key, request_id=request_id, clock=self.clock, pause=self.pause
            )
