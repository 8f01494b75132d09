"""The routes of the responders' API. Each knows who may call it, reads what is asked, and has the desk do it."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import azure.functions as func

from shared.api import problems
from shared.api.auth.access_tokens import AccessTokens, Role, SignedIn
from shared.api.auth.authorize import Act, answer_call, require
from shared.api.responses import as_json
from shared.api.revocations import requests, responses
from shared.api.revocations.requests import OrderRequest, Page, PageQuery, ReportRequest
from shared.domain.caller import Caller
from shared.domain.revocation import Revocation, State
from shared.persistence.revocations import HistoryEntry

_ANYONE = frozenset({Role.READER, Role.RESPONDER, Role.APPROVER})
_RESPONDERS = frozenset({Role.RESPONDER, Role.APPROVER})
_APPROVERS = frozenset({Role.APPROVER})

_UNDER_WAY = frozenset({State.RECEIVED, State.CONTAINED})  # something more comes of itself, and soon


class RevocationService(Protocol):
    """What people may do to records. All raise SasquashError; what is done stands in the record, with who did it."""

    async def report(self, request: ReportRequest, *, caller: Caller) -> tuple[Revocation, ...]:
        """Return a record for each credential in the text, taken up; none when it holds none."""

    async def dry_run(self, request: ReportRequest, *, caller: Caller) -> tuple[Revocation, ...]:
        """Return the records that `report` would make. Nothing is written, changed, or sent."""

    async def order(self, request: OrderRequest, *, caller: Caller) -> Revocation:
        """Return the record of an order, which awaits a second person."""

    async def approve(self, fingerprint: str, *, digest: str, reason: str, caller: Caller) -> Revocation:
        """Carry out the plan that has this digest."""

    async def reject(self, fingerprint: str, *, reason: str, caller: Caller) -> Revocation:
        """Dismiss the record that waits for a decision."""

    async def retry(self, fingerprint: str, *, reason: str, caller: Caller) -> Revocation:
        """Decide anew on a record that ended without a pull."""

    async def undo_lockdown(self, fingerprint: str, *, reason: str, caller: Caller) -> Revocation:
        """Give the account back what the lockdown took."""

    async def wait(self, fingerprints: tuple[str, ...], *, seconds: float) -> tuple[Revocation, ...]:
        """Return the records once nothing more comes of them soon, or after `seconds`."""

    async def read(self, fingerprint: str) -> tuple[Revocation, tuple[HistoryEntry, ...]]:
        """Return a record and its history. Raises NoSuchRecord."""

    async def page(self, query: PageQuery) -> Page:
        """Return some records. Raises InvalidRequest for a continuation that none of us gave."""


class Responder:
    """Answers the requests of people and of their programs."""

    def __init__(self, desk: RevocationService, tokens: AccessTokens, *, clock: Callable[[], datetime]) -> None:
        self._revocations = desk
        self._tokens = tokens
        self._clock = clock

    async def submit(self, request: func.HttpRequest) -> func.HttpResponse:
        """POST /api/revocations: a report of a leak, or an order."""
        return await self._answer(request, _RESPONDERS, self._submit)

    async def list_revocations(self, request: func.HttpRequest) -> func.HttpResponse:
        """GET /api/revocations."""
        return await self._answer(request, _ANYONE, self._list)

    async def read(self, request: func.HttpRequest) -> func.HttpResponse:
        """GET /api/revocations/{id}."""
        return await self._answer(request, _ANYONE, self._read)

    async def approve(self, request: func.HttpRequest) -> func.HttpResponse:
        """POST /api/revocations/{id}/approve."""
        return await self._answer(request, _APPROVERS, self._approve)

    async def reject(self, request: func.HttpRequest) -> func.HttpResponse:
        """POST /api/revocations/{id}/reject."""
        return await self._answer(request, _APPROVERS, self._reject)

    async def retry(self, request: func.HttpRequest) -> func.HttpResponse:
        """POST /api/revocations/{id}/retry."""
        return await self._answer(request, _RESPONDERS, self._retry)

    async def undo_lockdown(self, request: func.HttpRequest) -> func.HttpResponse:
        """POST /api/revocations/{id}/undo-lockdown."""
        return await self._answer(request, _APPROVERS, self._undo_lockdown)

    async def _answer(self, request: func.HttpRequest, roles: frozenset[Role], act: Act) -> func.HttpResponse:
        return await answer_call(self._tokens, request, roles, act)

    async def _submit(self, request: func.HttpRequest, who: SignedIn) -> func.HttpResponse:
        asked = requests.read_submission(request)
        if isinstance(asked, OrderRequest):
            require(who, _APPROVERS)
            return self._several((await self._revocations.order(asked, caller=who.caller),), status=202)
        if asked.dry_run:
            return self._several(await self._revocations.dry_run(asked, caller=who.caller), status=200)
        until = self._clock() + timedelta(seconds=asked.wait)
        records = await self._revocations.report(asked, caller=who.caller)
        if records and asked.wait:
            left = max((until - self._clock()).total_seconds(), 0.0)
            records = await self._revocations.wait(tuple(record.fingerprint for record in records), seconds=left)
            if _UNDER_WAY.isdisjoint(record.state for record in records):
                return self._several(records, status=200)
        return self._several(records, status=202)

    async def _list(self, request: func.HttpRequest, _who: SignedIn) -> func.HttpResponse:
        page = await self._revocations.page(requests.read_page_query(request))
        now = self._clock()
        return as_json(
            {"revocations": [responses.summary(record, now=now) for record in page.revocations], "next": page.next}
        )

    async def _read(self, request: func.HttpRequest, _who: SignedIn) -> func.HttpResponse:
        record, history = await self._revocations.read(requests.read_id(request))
        return as_json(responses.whole(record, now=self._clock()) | {"history": history})

    async def _approve(self, request: func.HttpRequest, who: SignedIn) -> func.HttpResponse:
        fingerprint, approval = requests.read_id(request), requests.read_approval(request)
        return self._one(
            await self._revocations.approve(
                fingerprint, digest=approval.digest, reason=approval.reason, caller=who.caller
            )
        )

    async def _reject(self, request: func.HttpRequest, who: SignedIn) -> func.HttpResponse:
        fingerprint, reason = requests.read_id(request), requests.read_reason(request)
        return self._one(await self._revocations.reject(fingerprint, reason=reason, caller=who.caller))

    async def _retry(self, request: func.HttpRequest, who: SignedIn) -> func.HttpResponse:
        fingerprint, reason = requests.read_id(request), requests.read_reason(request)
        return self._one(await self._revocations.retry(fingerprint, reason=reason, caller=who.caller))

    async def _undo_lockdown(self, request: func.HttpRequest, who: SignedIn) -> func.HttpResponse:
        fingerprint, reason = requests.read_id(request), requests.read_reason(request)
        return self._one(await self._revocations.undo_lockdown(fingerprint, reason=reason, caller=who.caller))

    def _one(self, record: Revocation) -> func.HttpResponse:
        return as_json(responses.whole(record, now=self._clock()))

    def _several(self, records: Sequence[Revocation], *, status: int) -> func.HttpResponse:
        if not records:
            raise problems.NoCredentialFound(
                "The text holds no credential of Azure Storage. Report it with what stood around it: the whole URL, "
                "connection string or file."
            )
        now = self._clock()
        body = {"revocations": [responses.whole(record, now=now) for record in records]}
        is_new = status == 202 and len(records) == 1
        headers = {"Location": f"/api/revocations/{records[0].fingerprint}"} if is_new else {}
        return as_json(body, status=status, headers=headers)
