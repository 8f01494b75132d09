"""GET /api/sas: the SAS in use, from the storage logs."""

from dataclasses import dataclass
from typing import Annotated

import azure.functions as func
import msgspec
from msgspec import Meta

from shared.api.auth.access_tokens import AccessTokens, Role, SignedIn
from shared.api.auth.authorize import requires
from shared.api.request_fields import AccountName, PageLimit, checked, parameters, rule, with_numbers
from shared.api.responses import as_json
from shared.domain.readiness import Check
from shared.persistence.readiness import AccountCheck, ReadinessTable
from shared.watch.answer import SasPage, Unread
from shared.watch.service import MOST_DAYS, SasInUseList

_READERS = frozenset({Role.READER, Role.RESPONDER, Role.APPROVER})
_MOST_UNLOGGED = 100

_Days = Annotated[int, rule(f"a whole number from 1 to {MOST_DAYS}", ge=1, le=MOST_DAYS)]
_After = Annotated[str, rule("the value of `next` in the previous page", pattern=r"^[a-z0-9]{3,24}\.[0-9a-f]{64}\Z")]


@dataclass(frozen=True, slots=True)
class SasQuery:
    """Which SAS to list: of one account or all, used in the last `days`. `after` is `next` of the previous page."""

    account: AccountName | None = None
    days: _Days = 30
    limit: PageLimit = 50
    after: _After | None = None


class NotLogged(msgspec.Struct, frozen=True):
    """The accounts with a service whose requests are not logged, by their latest check: its SAS are not seen."""

    count: int
    first: Annotated[tuple[Unread, ...], Meta(description="By name, 100 at most.")]


class SasList(SasPage, frozen=True, kw_only=True):
    """SAS that the storage logs show in use, the worst first, and what the list can't show."""

    not_logged: NotLogged


@dataclass(frozen=True, slots=True)
class SasInUseApi:
    """The route of people and their programs. `table` has the latest check of each account."""

    sas: SasInUseList
    table: ReadinessTable
    tokens: AccessTokens

    @requires(_READERS)
    async def read(self, request: func.HttpRequest, _who: SignedIn) -> func.HttpResponse:
        """Return a page of the list."""
        asked = read_query(request.url)
        page = await self.sas.page(account=asked.account, days=asked.days, limit=asked.limit, after=asked.after)
        not_logged = _not_logged(await self.table.checks(), asked.account)
        return as_json(SasList(**msgspec.structs.asdict(page), not_logged=not_logged))


def read_query(url: str) -> SasQuery:
    """Return what the query of `url` asks for. Raises InvalidRequest."""
    return checked(with_numbers(parameters(url), "days", "limit"), SasQuery)


def _not_logged(checks: list[AccountCheck], account: str | None) -> NotLogged:
    found = sorted(
        (check.account, trouble.said)
        for check in checks
        for trouble in check.troubles
        if trouble.check is Check.LOG and account in (None, check.account)
    )
    return NotLogged(len(found), tuple(Unread(name, said) for name, said in found[:_MOST_UNLOGGED]))
