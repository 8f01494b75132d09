"""The daily check of each account: would a revocation succeed, could it be verified, would logs show the leak's use?

A function may run for minutes only, and a subscription may have thousands of accounts. So the timer fires each hour,
and each run checks the accounts whose last check is a day old, for as long as it may.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest

from shared.cloud.accounts import Accounts
from shared.cloud.data_plane import Transport, send
from shared.cloud.governance import Governance
from shared.cloud.subscriptions import Subscriptions
from shared.domain import readiness
from shared.domain.account import AccountFacts
from shared.domain.readiness import Check, Denial, Lock, Trouble
from shared.errors import Blocked, SasquashError
from shared.persistence.readiness import AccountCheck, OtherSubscriptions, ReadinessTable
from shared.settings import Settings

_log = logging.getLogger(__name__)

NOT_READY = "Not ready: %s: %s"
"""The log message; an alert rule of infra/queries matches it."""

_EACH_DAY = timedelta(hours=23)  # so that what was checked late is not checked later each day
_TIME = timedelta(minutes=4)  # of the five that a function may run
_AT_ONCE = 8  # accounts that are checked in parallel
_QUESTION = "?restype=service&comp=properties"  # asked without a credential, so that it is refused where it arrives


class Readiness:
    """Checks accounts and the subscriptions of the tenant, and saves the results."""

    def __init__(
        self,
        *,
        settings: Settings,
        accounts: Accounts,
        governance: Governance,
        subscriptions: Subscriptions,
        table: ReadinessTable,
        transport: Callable[[], Transport],
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._governance = governance
        self._subscriptions = subscriptions
        self._table = table
        self._new_transport = transport
        self._clock = clock

    async def run(self) -> None:
        """Check the accounts that are due. One that can't be checked waits an hour, and stops no other.

        Raises only where the records can't be read, or the app's own principal can't be determined.
        """
        until, checks, principal = (
            self._clock() + _TIME,
            await self._table.checks(),
            await self._governance.principal(),
        )
        for subscription in await self._subscriptions.monitored():
            known = {check.account: check for check in checks if check.subscription == subscription}
            try:
                await self._check_subscription(subscription, known, principal=principal, until=until)
            except SasquashError as error:
                _log.warning("Not checked: subscription %s (%s): %s", subscription, error.code, error)
        await self._list_others()

    async def _list_others(self) -> None:
        """Save which subscriptions the app may see and does not monitor: a leak there ends `not_covered`."""
        try:
            others = await self._subscriptions.not_monitored()
            await self._table.save_others(OtherSubscriptions.of(others, at=self._clock()))
        except SasquashError as error:
            _log.warning("The tenant's other subscriptions were not listed (%s): %s", error.code, error)

    async def _check_subscription(
        self, subscription: str, known: dict[str, AccountCheck], *, principal: str, until: datetime
    ) -> None:
        locks, denials = await asyncio.gather(
            self._governance.locks(subscription), self._governance.denials(subscription)
        )
        places, now, transport = asyncio.Semaphore(_AT_ONCE), self._clock(), self._new_transport()

        async def check(account: AccountFacts) -> None:
            async with places:
                if self._clock() < until:
                    await self._check(account, locks, denials, principal=principal, transport=transport)

        listed = [account async for account in self._accounts.every(subscription)]
        try:
            await asyncio.gather(*(check(account) for account in listed if self._is_due(account, known, now=now)))
        finally:
            await transport.close()
        for gone in known.keys() - {account.name for account in listed}:
            await self._table.forget(known[gone])

    def _is_due(self, account: AccountFacts, known: dict[str, AccountCheck], *, now: datetime) -> bool:
        before = known.get(account.name)
        return account.name not in self._settings.own_accounts and (before is None or now - before.at >= _EACH_DAY)

    async def _check(
        self,
        account: AccountFacts,
        locks: tuple[Lock, ...],
        denials: tuple[Denial, ...],
        *,
        principal: str,
        transport: Transport,
    ) -> None:
        try:
            rights, logged, answers = await asyncio.gather(
                self._rights(account), self._logs(account), self._reach(account, transport)
            )
            troubles = (
                *readiness.of_locks(account.id, locks),
                *readiness.of_denials(account.id, denials, principal=principal, required=self._required()),
                *rights,
                *answers,
                *logged,
            )
            await self._table.save_check(
                AccountCheck(account.name, account.id, account.subscription, self._clock(), troubles)
            )
        except SasquashError as error:
            _log.warning("Not checked: %s (%s): %s", account.name, error.code, error)
            return
        for trouble in troubles:
            if trouble.blocking:
                _log.warning(NOT_READY, account.name, trouble.said)

    async def _rights(self, account: AccountFacts) -> list[Trouble]:
        return readiness.of_rights(await self._governance.rights(account), required=self._required())

    def _required(self) -> tuple[str, ...]:
        """Where Sasquash only observes, infra/ grants no role that changes anything, and none is missed."""
        return readiness.needed(acts=self._settings.may_act)

    async def _logs(self, account: AccountFacts) -> list[Trouble]:
        """Return what is logged. A missing right to ask is a trouble of its own, and stops no other check."""
        services = tuple(account.endpoints)
        try:
            logged = await asyncio.gather(*(self._governance.logged(account, service) for service in services))
        except Blocked as error:
            return [Trouble(Check.LOG, False, str(error))]
        return readiness.of_logs(dict(zip(services, logged, strict=True)))

    async def _reach(self, account: AccountFacts, transport: Transport) -> list[Trouble]:
        codes = await asyncio.gather(*(_code(transport, url) for url in account.endpoints.values()))
        return readiness.of_answers(dict(zip(account.endpoints, codes, strict=True)))


async def _code(transport: Transport, endpoint: str) -> str | None:
    """Return the error code of the refusal of a request without a credential; None where there was no answer."""
    try:
        answer = await send(transport, HttpRequest("GET", f"{endpoint.rstrip('/')}/{_QUESTION}"))
    except AzureError:
        return None  # the record says that the service can't be reached
    return answer.code
