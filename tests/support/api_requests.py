"""Requests as the Functions host passes them to the app, and a revocation service in memory."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

import azure.functions as func

from shared.api.revocations.requests import OrderRequest, Page, PageQuery, ReportRequest
from shared.domain import report as findings
from shared.domain.approval import Approval
from shared.domain.caller import Caller
from shared.domain.finding import Finding, Order
from shared.domain.history import HistoryEntry, Integrity, chained
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.errors import InvalidRequest, NoSuchRecord, NotPermitted, SasquashError, WrongState
from shared.persistence.history_rows import Checked
from tests.support import samples
from tests.support.entra import token
from tests.support.samples import NOW

URL = "https://sasquash.azurewebsites.net/api/revocations"


def request(
    method: str = "POST",
    *,
    body: object = None,
    raw: bytes | None = None,
    query: str = "",
    fingerprint: str | None = None,
    roles: tuple[str, ...] = ("Sasquash.Approver",),
    headers: dict[str, str] | None = None,
) -> func.HttpRequest:
    """Return a request with a valid token of these roles, unless `headers` override it. `raw` is a body as sent."""
    content = json.dumps(body).encode() if raw is None else raw
    sent = {
        "content-type": "application/json",
        "content-length": str(len(content)),
        "authorization": f"Bearer {token(roles=list(roles))}",
    }
    return func.HttpRequest(
        method=method,
        url=URL + query,
        headers=sent | (headers or {}),
        route_params={} if fingerprint is None else {"id": fingerprint},
        body=content,
    )


def said(response: func.HttpResponse) -> Any:
    """Return the JSON of a response."""
    return json.loads(response.get_body())


@dataclass
class MemoryRevocations:
    """The revocation service on `records`, without delays. With `fails`, every call raises that.

    A report is `contained`; it settles when it is waited for, if `settles`.
    """

    records: dict[str, Revocation] = field(default_factory=dict)
    fails: SasquashError | None = None
    settles: bool = True
    asked: list[object] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)

    async def report(self, request: ReportRequest, *, caller: Caller) -> tuple[Revocation, ...]:
        self._note(request, caller)
        found = await self.dry_run(request, caller=caller)
        self.records |= {record.fingerprint: record for record in found}
        return found

    async def dry_run(self, request: ReportRequest, *, caller: Caller) -> tuple[Revocation, ...]:
        self._note(request, caller)
        found = findings.in_text(
            request.text,
            source=request.source,
            url=request.url,
            detected_at=NOW,
            reported_by=caller,
            reason=request.reason,
        )
        return tuple(
            Revocation.of(each.finding, now=NOW).reach(State.CONTAINED, now=NOW, detail="Done.") for each in found
        )

    async def order(self, request: OrderRequest, *, caller: Caller) -> Revocation:
        self._note(request, caller)
        order = Order(request.account, request.action, request.target)
        made = Finding(f"{len(self.records):064x}", None, "responder", None, NOW, order, caller, request.reason)
        return self._keep(awaiting(made))

    async def approve(self, fingerprint: str, *, digest: str, reason: str, caller: Caller) -> Revocation:
        self._note((fingerprint, digest, reason), caller)
        record = self._known(fingerprint, State.AWAITING_APPROVAL)
        if record.finding.reported_by == caller:
            raise NotPermitted("It takes a second person.")
        if record.plan is None or record.plan.digest != digest:
            raise WrongState("The plan has changed.")
        approved = replace(record, approval=Approval(caller, NOW, digest, reason))
        return self._keep(approved.reach(State.CONTAINED, now=NOW, detail="Done."))

    async def reject(self, fingerprint: str, *, reason: str, caller: Caller) -> Revocation:
        self._note((fingerprint, reason), caller)
        record = self._known(fingerprint, State.AWAITING_APPROVAL)
        return self._keep(record.end(Reason.REJECTED, now=NOW, detail=reason))

    async def retry(self, fingerprint: str, *, reason: str, caller: Caller, is_approver: bool = False) -> Revocation:
        self._note((fingerprint, reason), caller)
        is_rejected = self._known(fingerprint).reason is Reason.REJECTED
        record = self._known(fingerprint, State.DISMISSED if is_rejected else State.FAILED)
        if is_rejected and not is_approver:
            raise NotPermitted("Undoing a rejection requires the role of an approver.")
        return self._keep(record.reach(State.RECEIVED, now=NOW, detail=reason))

    async def undo_lockdown(self, fingerprint: str, *, reason: str, caller: Caller) -> Revocation:
        self._note((fingerprint, reason), caller)
        return self._keep(self._known(fingerprint, State.CLOSED))

    async def wait(self, fingerprints: tuple[str, ...], *, seconds: float) -> tuple[Revocation, ...]:
        self.asked.append(seconds)
        records = tuple(self.records[fingerprint] for fingerprint in fingerprints)
        if not self.settles:
            return records
        return tuple(record.reach(State.PROVEN, now=NOW, detail="It is refused.") for record in records)

    async def read(self, fingerprint: str) -> tuple[Revocation, tuple[HistoryEntry, ...]]:
        self._note(fingerprint, None)
        record = self._known(fingerprint)
        line = HistoryEntry(NOW, "sasquash", State.RECEIVED, "Reported by github.")
        return record, (chained(line, None, fingerprint=fingerprint)[0],)

    async def page(self, query: PageQuery) -> Page:
        self._note(query, None)
        if query.after not in (None, "bmV4dA"):
            raise InvalidRequest("`after` must be the value of `next` in the previous page.")
        found = [record for record in self.records.values() if query.state in (None, record.state)]
        return Page(tuple(found[: query.limit]), "bmV4dA" if len(found) > query.limit else None)

    def _note(self, asked: object, caller: Caller | None) -> None:
        self.asked.append(asked)
        if caller is not None:
            self.callers.append(caller)
        if self.fails is not None:
            raise self.fails

    def _known(self, fingerprint: str, state: State | None = None) -> Revocation:
        record = self.records.get(fingerprint)
        if record is None:
            raise NoSuchRecord("There is no revocation with this id.")
        if state not in (None, record.state):
            raise WrongState(f"The record is {record.state}.")
        return record

    def _keep(self, record: Revocation) -> Revocation:
        self.records[record.fingerprint] = record
        return record


class MemoryChecks:
    """The checks of histories: each record has been checked, and its history is intact."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def latest(self, fingerprint: str) -> Checked | None:
        return Checked(NOW, Integrity.UNCONFIRMED, "The chain is whole.")

    async def of(self, fingerprint: str) -> Checked:
        self.asked.append(fingerprint)
        return Checked(NOW, Integrity.INTACT, "All 1 lines are chained, and the copy has each of them.")


def awaiting(found: Finding | None = None) -> Revocation:
    """A record that waits for a decision on the sample plan."""
    record = Revocation.of(found or samples.finding(), now=NOW)
    return replace(record, plan=samples.plan()).reach(State.AWAITING_APPROVAL, now=NOW, detail="A person decides.")
