"""GET /api/readiness: the results of the latest readiness checks of the accounts, and of the latest drills."""

import asyncio
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
from shared.persistence import readiness as persisted
from shared.persistence import unreadable_rows as stored
from shared.persistence.readiness import AccountCheck, DrillOutcome, DrillRun, ReadinessTable

_READERS = frozenset({Role.READER, Role.RESPONDER, Role.APPROVER})
_DRILLS = 12  # in the response
_MOST_ROWS = 100

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


class Subscription(msgspec.Struct, frozen=True):
    """A subscription of the tenant."""

    id: Annotated[str, Meta(pattern="^[0-9a-f-]{36}$")]
    name: str


class OtherSubscriptions(msgspec.Struct, frozen=True):
    """The subscriptions that the app may see and does not monitor. A leak there is not revoked."""

    at: Time
    count: int
    first: Annotated[tuple[Subscription, ...], Meta(description="By name, 100 at most.")]


class UnreadableRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of Sasquash's tables that this version can't read. It is kept as it is."""

    table: str
    partition: str
    key: str
    found_at: Time
    is_newer: Annotated[bool, Meta(description="Whether it says itself that a newer version of Sasquash wrote it.")]


class UnreadableRows(msgspec.Struct, frozen=True):
    """The rows that this version can't read. docs/operations.md, 'Rolling back', says what to do."""

    count: int
    first: Annotated[tuple[UnreadableRow, ...], Meta(description="Those found last, 100 at most.")]


class Readiness(msgspec.Struct, frozen=True):
    """The accounts, the latest drills, and what is not monitored."""

    accounts: Annotated[tuple[Account, ...], Meta(description="Accounts that are not ready come first.")]
    drills: Annotated[tuple[Drill, ...], Meta(description="Newest first.")]
    not_monitored: OtherSubscriptions | None = None
    unreadable_rows: UnreadableRows | None = None


@dataclass(frozen=True, slots=True)
class ReadinessApi:
    """The route of people and their programs."""

    table: ReadinessTable
    tokens: AccessTokens
    unreadable: stored.UnreadableRows

    @requires(_READERS)
    async def read(self, _request: func.HttpRequest, _who: SignedIn) -> func.HttpResponse:
        """Return every checked account, the latest drills, what is not monitored, and rows that can't be read."""
        checks, drills, others, unread = await asyncio.gather(
            self.table.checks(), self.table.drills(), self.table.others(), self.unreadable.all()
        )
        ordered = sorted(checks, key=lambda check: (check.ready, not check.troubles, check.account))
        return as_json(
            Readiness(
                accounts=tuple(_account(check) for check in ordered),
                drills=tuple(_drill(run) for run in reversed(drills[-_DRILLS:])),
                not_monitored=None if others is None else _others(others),
                unreadable_rows=UnreadableRows(len(unread), tuple(map(_unread, unread[:_MOST_ROWS]))),
            )
        )


def _account(check: AccountCheck) -> Account:
    troubles = msgspec.convert(check.troubles, tuple[Trouble, ...], from_attributes=True)
    return Account(
        account=check.account, account_id=check.account_id, checked_at=check.at, ready=check.ready, troubles=troubles
    )


def _others(found: persisted.OtherSubscriptions) -> OtherSubscriptions:
    return msgspec.convert(found, OtherSubscriptions, from_attributes=True)


def _unread(row: stored.Unread) -> UnreadableRow:
    return msgspec.convert(row, UnreadableRow, from_attributes=True)


def _drill(run: DrillRun) -> Drill:
    return msgspec.convert(run, Drill, from_attributes=True)
