"""The logs and keys of the monitored accounts: a query for each subscription, or for one account."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from shared.cloud.accounts import AccountRef, Accounts
from shared.cloud.sas_log import SasLog
from shared.cloud.subscriptions import Subscriptions
from shared.domain.account import AccountKey
from shared.domain.logged_sas import LoggedTokens
from shared.errors import Blocked, InvalidRequest, SasquashError
from shared.watch.service import Found

_AT_ONCE = 4
_SECONDS = 60.0  # for the queries of all subscriptions


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoredAccounts:
    """The accounts of the monitored subscriptions. `list_keys` lists those of an account.

    `host_of` returns the host name of an account's blob service.
    """

    log: SasLog
    subscriptions: Subscriptions
    accounts: Accounts
    list_keys: Callable[[AccountRef], Awaitable[Mapping[str, AccountKey]]]
    host_of: Callable[[str], str]

    async def tokens(self, *, account: str | None, days: int) -> Found:
        """Return the tokens in use. Raises InvalidRequest, TransientFailure or Blocked where nothing can be read."""
        if account is not None:
            ref = await self._ref(account)
            if ref is None:
                raise InvalidRequest("`account` is not an account in a monitored subscription.")
            return Found((await self.log.of_account(ref.id, ref.name, days=days),))
        return await self._of_all(await self.subscriptions.monitored(), days=days)

    async def keys(self, account: str) -> Mapping[str, AccountKey]:
        """Return the keys of a monitored account. Raises TransientFailure or Blocked."""
        ref = await self._ref(account)
        if ref is None:
            raise Blocked("It is not an account in a monitored subscription: its keys are not listed.")
        return await self.list_keys(ref)

    async def _ref(self, account: str) -> AccountRef | None:
        known = {ref.name: ref for ref in await self.accounts.inventory()}
        return known.get(account) or await self.accounts.find(self.host_of(account), account)

    async def _of_all(self, subscriptions: tuple[str, ...], *, days: int) -> Found:
        found: list[LoggedTokens] = []
        unread = dict.fromkeys(subscriptions, "Its logs were not read in time. Ask for one account.")
        failures: list[SasquashError] = []
        places = asyncio.Semaphore(_AT_ONCE)

        async def query(subscription: str) -> None:
            async with places:
                try:
                    found.append(await self.log.of_subscription(subscription, days=days))
                except SasquashError as error:
                    unread[subscription] = str(error)
                    failures.append(error)
                    return
            del unread[subscription]

        try:
            async with asyncio.timeout(_SECONDS):
                await asyncio.gather(*(query(each) for each in subscriptions))
        except TimeoutError:
            pass  # `unread` says so
        if failures and not found:
            raise failures[0]
        return Found(tuple(found), {f"subscription {name}": said for name, said in unread.items()})
