"""The routes of the responder API: method, body and roles of each, and the responder on a service in memory."""

from collections.abc import Awaitable, Callable

import azure.functions as func

from shared.api.revocations.routes import Responder
from shared.domain.approval import AtDeadline
from tests.support import samples
from tests.support.api_requests import MemoryChecks, MemoryRevocations
from tests.support.entra import KeyServer, access_tokens
from tests.support.samples import NOW

REPORT = {"text": samples.account_sas(), "reason": "Found on GitHub"}
ORDER = {"account": "robustmodels", "action": "account_key", "target": "key2", "reason": "Seen in a screenshot"}
APPROVAL = {"digest": "d" * 64, "reason": "The owner agrees"}
BECAUSE = {"reason": "The lock is gone"}

READER, RESPONDER, APPROVER = ("Sasquash.Reader",), ("Sasquash.Responder",), ("Sasquash.Approver",)

type Route = Callable[[Responder], Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]]

ROUTES: dict[str, tuple[Route, str, object, set[tuple[str, ...]]]] = {
    "list": (lambda api: api.list_revocations, "GET", None, {READER, RESPONDER, APPROVER}),
    "read": (lambda api: api.read, "GET", None, {READER, RESPONDER, APPROVER}),
    "report": (lambda api: api.submit, "POST", REPORT, {RESPONDER, APPROVER}),
    "dry run": (lambda api: api.submit, "POST", REPORT | {"dry_run": True}, {RESPONDER, APPROVER}),
    "order": (lambda api: api.submit, "POST", ORDER, {APPROVER}),
    "approve": (lambda api: api.approve, "POST", APPROVAL, {APPROVER}),
    "reject": (lambda api: api.reject, "POST", BECAUSE, {APPROVER}),
    "retry": (lambda api: api.retry, "POST", BECAUSE, {RESPONDER, APPROVER}),
    "undo": (lambda api: api.undo_lockdown, "POST", BECAUSE, {APPROVER}),
}


def responder(service: MemoryRevocations, server: KeyServer | None = None) -> Responder:
    """Return the API on this service, with tokens that `server` has the keys of."""
    return Responder(
        service,  # type: ignore[arg-type]
        access_tokens(server),
        MemoryChecks(),  # type: ignore[arg-type]
        clock=lambda: NOW,
        at_deadline=AtDeadline.ESCALATE,
    )
