"""GET /api/readiness: the results of the latest readiness checks of the accounts, and of the latest drills."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import azure.functions as func
import msgspec
from msgspec import Meta

from shared.api.auth.access_tokens import AccessTokens, Role, SignedIn
from shared.api.auth.authorize import requires
from shared.api.responses import as_json
from shared.domain.readiness import Check
from shared.persistence.readiness import AccountCheck, DrillOutcome, DrillRun, ReadinessTable

_READERS = frozenset({Role.READER, Role.RESPONDER, Role.APPROVER})
_DRILLS = 12  # in the response

type Time = Annotated[datetime, Meta(tz=True)]
type Seconds = Annotated[float | None, Meta(description="Seconds from its start.")]


class Trouble(msgspec.Struct, frozen=True):
    """One result of a check that failed."""

    check: Check
    blocking: Annotated[
        bool, Meta(description="Whether a revocation would fail. Otherwise it would succeed with less evidence.")
    ]
    said: str


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The result of the latest check of an account."""

    account: str
    account_id: str
    checked_at: Time
    ready: Annotated[bool, Meta(description="Whether a revocation would succeed.")]
    troubles: tuple[Trouble, ...]


class Drill(msgspec.Struct, frozen=True):
    """A drill: a leak that the app reports on the drill account."""

    started_at: Time
    account: str
    revocation: Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="The record's id.")]
    outcome: DrillOutcome
    said: str
    contained_after: Seconds
    proven_after: Seconds


class Readiness(msgspec.Struct, frozen=True):
    """The accounts, and the latest drills."""

    accounts: Annotated[tuple[Account, ...], Meta(description="Accounts that are not ready come first.")]
    drills: Annotated[tuple[Drill, ...], Meta(description="Newest first.")]


@dataclass(frozen=True, slots=True)
class ReadinessApi:
    """The route of people and their programs."""

    table: ReadinessTable
    tokens: AccessTokens

    @requires(_READERS)
    async def read(self, _request: func.HttpRequest, _who: SignedIn) -> func.HttpResponse:
        """Return every checked account, and the latest drills."""
        checks, drills = await self.table.checks(), await self.table.drills()
        ordered = sorted(checks, key=lambda check: (check.ready, not check.troubles, check.account))
        return as_json(
            Readiness(
                accounts=tuple(_account(check) for check in ordered),
                drills=tuple(_drill(run) for run in reversed(drills[-_DRILLS:])),
            )
        )


def _account(check: AccountCheck) -> Account:
    troubles = msgspec.convert(check.troubles, tuple[Trouble, ...], from_attributes=True)
    return Account(
        account=check.account, account_id=check.account_id, checked_at=check.at, ready=check.ready, troubles=troubles
    )


def _drill(run: DrillRun) -> Drill:
    return msgspec.convert(run, Drill, from_attributes=True)
