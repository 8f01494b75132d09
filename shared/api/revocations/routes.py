"""The routes of the responders' API: roles, requests and responses of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import azure.functions as func

from shared.api import problems
from shared.api.auth.access_tokens import AccessTokens, Role, SignedIn
from shared.api.auth.authorize import require, requires
from shared.api.request_body import read_body
from shared.api.responses import as_json
from shared.api.revocations import rendering, requests
from shared.api.revocations.requests import OrderRequest
from shared.api.revocations.responses import Page, Revocations
from shared.api.revocations.service import RevocationService
from shared.domain.approval import AtDeadline
from shared.domain.caller import Caller
from shared.domain.pending_steps import awaits_verification
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.transitions import held_to
from shared.operations.history_check import HistoryChecks
from shared.sources import json_body

_ANYONE = frozenset({Role.READER, Role.RESPONDER, Role.APPROVER})
_RESPONDERS = frozenset({Role.RESPONDER, Role.APPROVER})
_APPROVERS = frozenset({Role.APPROVER})


class _Decide(Protocol):
    """A decision of `RevocationService` that has a reason only."""

    async def __call__(self, fingerprint: str, *, reason: str, caller: Caller) -> Revocation: ...


@dataclass(frozen=True, slots=True)
class Responder:
    """Answers the requests of responders and their programs.

    `at_deadline` is `SASQUASH_AT_DEADLINE`, which counts where it is stricter than a record.
    """

    revocations: RevocationService
    tokens: AccessTokens
    checks: HistoryChecks
    clock: Callable[[], datetime]
    at_deadline: AtDeadline

    @requires(_RESPONDERS)
    async def submit(self, request: func.HttpRequest, who: SignedIn) -> func.HttpResponse:
        """POST /api/revocations: a report of a leak, or an order."""
        asked = requests.read_submission(_body(request))
        if isinstance(asked, OrderRequest):
            require(who, _APPROVERS)
            return self._several((await self.revocations.order(asked, caller=who.caller),), status=202)
        if asked.dry_run:
            return self._several(await self.revocations.dry_run(asked, caller=who.caller), status=200)
        until = self.clock() + timedelta(seconds=asked.wait)
        records = await self.revocations.report(asked, caller=who.caller)
        if records and asked.wait:
            left = max((until - self.clock()).total_seconds(), 0.0)
            records = await self.revocations.wait(tuple(record.fingerprint for record in records), seconds=left)
            if not any(map(_is_under_way, records)):
                return self._several(records, status=200)
        return self._several(records, status=202)

    @requires(_ANYONE)
    async def list_revocations(self, request: func.HttpRequest, _who: SignedIn) -> func.HttpResponse:
        """GET /api/revocations."""
        page = await self.revocations.page(requests.read_page_query(request.url))
        now = self.clock()
        summaries = tuple(rendering.summary(record, now=now) for record in page.revocations)
        return as_json(Page(revocations=summaries, next=page.next, unreadable=page.unreadable))

    @requires(_ANYONE)
    async def read(self, request: func.HttpRequest, _who: SignedIn) -> func.HttpResponse:
        """GET /api/revocations/{id}: with the last check of its history, or with one that is made now."""
        fingerprint, asked = _id(request), requests.read_read_query(request.url)
        record, history = await self.revocations.read(fingerprint)
        checked = await (self.checks.of(fingerprint) if asked.verify else self.checks.latest(fingerprint))
        shown = held_to(record, self.at_deadline)
        return as_json(rendering.whole(shown, now=self.clock(), history=history, check=checked))

    @requires(_APPROVERS)
    async def approve(self, request: func.HttpRequest, who: SignedIn) -> func.HttpResponse:
        """POST /api/revocations/{id}/approve."""
        fingerprint, approval = _id(request), requests.read_approval(_body(request))
        return self._one(
            await self.revocations.approve(
                fingerprint, digest=approval.digest, reason=approval.reason, caller=who.caller
            )
        )

    @requires(_APPROVERS)
    async def reject(self, request: func.HttpRequest, who: SignedIn) -> func.HttpResponse:
        """POST /api/revocations/{id}/reject."""
        return await self._decide(self.revocations.reject, request, who)

    @requires(_RESPONDERS)
    async def retry(self, request: func.HttpRequest, who: SignedIn) -> func.HttpResponse:
        """POST /api/revocations/{id}/retry. What was rejected takes another approver."""
        fingerprint, reason = _id(request), requests.read_reason(_body(request))
        return self._one(
            await self.revocations.retry(
                fingerprint, reason=reason, caller=who.caller, is_approver=Role.APPROVER in who.roles
            )
        )

    @requires(_APPROVERS)
    async def undo_lockdown(self, request: func.HttpRequest, who: SignedIn) -> func.HttpResponse:
        """POST /api/revocations/{id}/undo-lockdown."""
        return await self._decide(self.revocations.undo_lockdown, request, who)

    async def _decide(self, decide: _Decide, request: func.HttpRequest, who: SignedIn) -> func.HttpResponse:
        fingerprint, reason = _id(request), requests.read_reason(_body(request))
        return self._one(await decide(fingerprint, reason=reason, caller=who.caller))

    def _one(self, record: Revocation) -> func.HttpResponse:
        return as_json(rendering.whole(held_to(record, self.at_deadline), now=self.clock()))

    def _several(self, records: Sequence[Revocation], *, status: int) -> func.HttpResponse:
        if not records:
            raise problems.NoCredentialFound(
                "The text contains no Azure Storage credential. Include the surrounding text: the whole URL, "
                "connection string or file."
            )
        now = self.clock()
        shown = (held_to(record, self.at_deadline) for record in records)
        body = Revocations(revocations=tuple(rendering.whole(record, now=now) for record in shown))
        is_new = status == 202 and len(records) == 1
        headers = {"Location": f"/api/revocations/{records[0].fingerprint}"} if is_new else {}
        return as_json(body, status=status, headers=headers)


def _body(request: func.HttpRequest) -> dict[str, Any]:
    return json_body.read(read_body(request), content_type=request.headers.get("content-type", ""))


def _id(request: func.HttpRequest) -> str:
    return requests.read_id(str(request.route_params.get("id", "")))


def _is_under_way(record: Revocation) -> bool:
    """Whether its state changes soon without a person."""
    return record.state is State.RECEIVED or awaits_verification(record)
