"""The HTTP functions of the function app as an ASGI app, called as by the Functions worker."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import azure.functions as func
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.host.kestrel import body_of
from shared.api.console.serving import ConsoleFiles
from shared.api.health import HealthCheck
from shared.api.readiness import ReadinessApi
from shared.api.revocations.routes import Responder
from shared.api.sas_in_use import SasInUseApi
from shared.cloud.subscriptions import Subscription
from shared.domain.approval import AtDeadline
from shared.domain.readiness import Lock, of_locks
from shared.errors import SasquashError
from shared.persistence.readiness import AccountCheck, DrillOutcome, DrillRun, OtherSubscriptions
from shared.persistence.unreadable_rows import Unread
from shared.watch.service import SasInUseList
from shared.watch.signers import SignerSearch
from tests.support import samples
from tests.support.api_requests import MemoryChecks, MemoryRevocations
from tests.support.entra import access_tokens
from tests.support.intake import Place
from tests.support.logged_tokens import MemoryLogs, account_token, logged
from tests.support.samples import ENVIRONMENT, NOW


@dataclass
class Ledger:
    """The ledger of records: reachable, or failing."""

    fails: SasquashError | None = None

    async def ping(self) -> None:
        if self.fails is not None:
            raise self.fails


@dataclass
class Readings:
    """Readiness with one account in trouble, one without, and a drill that passed."""

    fails: SasquashError | None = None

    async def checks(self) -> list[AccountCheck]:
        if self.fails is not None:
            raise self.fails
        group = "/subscriptions/3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33/resourceGroups/research"
        accounts = f"{group}/providers/Microsoft.Storage/storageAccounts"
        locked = of_locks(f"{accounts}/robustmodels", [Lock(group, "ReadOnly", "keep")])
        return [
            AccountCheck(name, f"{accounts}/{name}", group.split("/")[2], NOW, tuple(troubles))
            for name, troubles in (("datasets", []), ("robustmodels", locked))
        ]

    async def others(self) -> OtherSubscriptions | None:
        return OtherSubscriptions(NOW, 1, (Subscription("7f1b9c3d-0000-4000-8000-000000000002", "Forgotten"),))

    async def drills(self) -> list[DrillRun]:
        said = "Verified revoked. No open items."
        return [DrillRun(NOW, "sasquashdrill", "ab" * 32, DrillOutcome.PASSED, said, 2.4, 3.1)]

    async def all(self) -> list[Unread]:
        return [Unread("revocations", "ab", "ab" * 32, NOW, is_newer=True)]


def sas_in_use(logs: MemoryLogs) -> SasInUseList:
    """The list of what some logs have."""
    return SasInUseList(source=logs, search=SignerSearch(clock=lambda: NOW), clock=lambda: NOW)


class App:
    """The part of the app that HTTP calls need, with the sample settings and a fixed clock."""

    def __init__(self, revocations: MemoryRevocations, ledger: Ledger | None = None) -> None:
        self.http = SimpleNamespace(
            revocation_api=Responder(
                revocations,  # type: ignore[arg-type]
                access_tokens(),
                MemoryChecks(),  # type: ignore[arg-type]
                clock=lambda: NOW,
                at_deadline=AtDeadline.ESCALATE,
            ),
            intake=Place().intake(),
            console=ConsoleFiles(samples.settings()),
            readiness_api=ReadinessApi(Readings(), access_tokens(), Readings()),  # type: ignore[arg-type]
            sas_api=SasInUseApi(
                sas_in_use(MemoryLogs([logged(account_token())])),
                Readings(),  # type: ignore[arg-type]
                access_tokens(),
            ),
            health=HealthCheck(ledger or Ledger(), unreachable="ledger unreachable", clock=lambda: NOW),
        )


@contextmanager
def hosting(app: App) -> Iterator[Starlette]:
    """Every function with an HTTP trigger, under the host's route prefix, served by `app`."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        module = importlib.import_module("function_app")
        patch.setattr(module, "sasquash", lambda: app)
        try:
            yield Starlette(routes=[route for function in module.app.get_functions() for route in _routes(function)])
        finally:
            del sys.modules["function_app"]


def _routes(function: Any) -> list[Route]:
    bindings = [binding.get_dict_repr() for binding in function.get_bindings()]
    return [
        Route(f"/api/{binding['route']}", _endpoint(function), methods=[str(m.value) for m in binding["methods"]])
        for binding in bindings
        if binding["type"] == "httpTrigger"
    ]


def _endpoint(function: Any) -> Any:
    async def endpoint(request: Request) -> Response:
        answer = await function.get_user_function()(
            req=func.HttpRequest(
                method=request.method,
                url=str(request.url),
                headers=dict(request.headers),
                route_params={name: str(value) for name, value in request.path_params.items()},
                body=await body_of(request),
            )
        )
        headers = dict(answer.headers) | {"content-type": answer.mimetype}
        return Response(answer.get_body(), status_code=answer.status_code, headers=headers)

    return endpoint
