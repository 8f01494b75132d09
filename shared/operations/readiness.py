"""The daily look at each account: would a kill succeed, would it be proven, would anybody know who used the leak?

A function may run for minutes only, and a subscription may have thousands of accounts. So the timer comes each hour,
and each time looks at those whose last look is a day ago, for as long as it may.
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
from shared.domain import readiness
from shared.domain.account import AccountFacts
from shared.domain.readiness import Check, Denial, Lock, Trouble
from shared.errors import Blocked, SasquashError
from shared.persistence.readiness import Look, ReadinessTable
from shared.settings import Settings

_log = logging.getLogger(__name__)

NOT_READY = "Not ready: %s: %s"
"""How the log says it; a rule of infra/queries looks for it."""

_EACH_DAY = timedelta(hours=23)  # so that what was looked at late is not looked at later each day
_TIME = timedelta(minutes=4)  # of the five that a function may run
_AT_ONCE = 8  # accounts that are looked at side by side
_QUESTION = "?restype=service&comp=properties"  # asked without a credential, so that it is refused where it arrives


class Readiness:
    """Looks at accounts, and writes down what it finds."""

    def __init__(
        self,
        *,
        settings: Settings,
        accounts: Accounts,
        governance: Governance,
        table: ReadinessTable,
        transport: Callable[[], Transport],
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._governance = governance
        self._table = table
        self._new_transport = transport
        self._clock = clock

    async def look(self) -> None:
        """Look at the accounts whose turn it is. One that can't be looked at waits an hour, and stops no other.

        Raises only where the records can't be read, or nobody can say who the app is.
        """
        until, looks, principal = self._clock() + _TIME, await self._table.looks(), await self._governance.principal()
        for subscription in self._settings.subscriptions:
            known = {look.account: look for look in looks if look.subscription == subscription}
            try:
                await self._look_at_subscription(subscription, known, principal=principal, until=until)
            except SasquashError as error:
                _log.warning("Not looked at subscription %s (%s): %s", subscription, error.code, error)

    async def _look_at_subscription(
        self, subscription: str, known: dict[str, Look], *, principal: str, until: datetime
    ) -> None:
        locks, denials = await asyncio.gather(
            self._governance.locks(subscription), self._governance.denials(subscription)
        )
        places, now, transport = asyncio.Semaphore(_AT_ONCE), self._clock(), self._new_transport()

        async def look(account: AccountFacts) -> None:
            async with places:
                if self._clock() < until:
                    await self._look_at(account, locks, denials, principal=principal, transport=transport)

        listed = [account async for account in self._accounts.every(subscription)]
        try:
            await asyncio.gather(*(look(account) for account in listed if self._is_due(account, known, now=now)))
        finally:
            await transport.close()
        for gone in known.keys() - {account.name for account in listed}:
            await self._table.forget(known[gone])

    def _is_due(self, account: AccountFacts, known: dict[str, Look], *, now: datetime) -> bool:
        before = known.get(account.name)
        return account.name not in self._settings.own_accounts and (before is None or now - before.at >= _EACH_DAY)

    async def _look_at(
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
                *readiness.of_denials(account.id, denials, principal=principal),
                *rights,
                *answers,
                *logged,
            )
            await self._table.save_look(Look(account.name, account.id, account.subscription, self._clock(), troubles))
        except SasquashError as error:
            _log.warning("Not looked at %s (%s): %s", account.name, error.code, error)
            return
        for trouble in troubles:
            if trouble.blocking:
                _log.warning(NOT_READY, account.name, trouble.said)

    async def _rights(self, account: AccountFacts) -> list[Trouble]:
        return readiness.of_rights(await self._governance.rights(account))

    async def _logs(self, account: AccountFacts) -> list[Trouble]:
        """Say what is logged; that nobody may ask is worth a line, and no reason not to look at the rest."""
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
    """Return the error code that a service refuses us with, who show no credential; None: there was no answer."""
    try:
        answer = await send(transport, HttpRequest("GET", f"{endpoint.rstrip('/')}/{_QUESTION}"))
    except AzureError:
        return None  # said in the record: the service is not reached
    return answer.code
