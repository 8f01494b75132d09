"""GET /api/readiness: roles, order, and a table that can't be read."""

import json
from dataclasses import replace

import azure.functions as func
import pytest

from shared.api.auth.access_tokens import Role
from shared.api.readiness import ReadinessApi
from shared.domain.readiness import Check, Trouble
from shared.errors import TransientFailure
from shared.persistence.readiness import AccountCheck, DrillRun
from tests.support.entra import access_tokens, token
from tests.support.http_functions import Readings
from tests.support.samples import NOW


def request(*roles: str) -> func.HttpRequest:
    headers = {"authorization": f"Bearer {token(roles=list(roles))}"} if roles else {}
    return func.HttpRequest("GET", "https://x/api/readiness", headers=headers, body=b"")


async def answered(readings: Readings, *roles: str) -> func.HttpResponse:
    api = ReadinessApi(readings, access_tokens(), readings)  # type: ignore[arg-type]
    return await api.read(request(*roles))


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.READER, 200), (Role.RESPONDER, 200), (Role.APPROVER, 200), (Role.REPORTER, 403), (None, 401)],
)
async def test_roles_that_read_records_read_it(role: Role | None, status: int) -> None:
    answer = await answered(Readings(), *([role.value] if role is not None else []))

    assert answer.status_code == status


async def test_accounts_that_are_not_ready_come_first() -> None:
    class Accounts(Readings):
        async def checks(self) -> list[AccountCheck]:
            [check, _] = await super().checks()
            lock, log = Trouble(Check.LOCK, True, "Locked."), Trouble(Check.LOG, False, "Not logged.")
            return [
                replace(check, account="well"),
                replace(check, account="unlogged", troubles=(log,)),
                replace(check, account="locked", troubles=(log, lock)),
            ]

    answer = await answered(Accounts(), Role.READER)

    accounts = json.loads(answer.get_body())["accounts"]
    assert [(a["account"], a["ready"]) for a in accounts] == [("locked", False), ("unlogged", True), ("well", True)]


async def test_latest_twelve_drills_are_returned_newest_first() -> None:
    class Drills(Readings):
        async def drills(self) -> list[DrillRun]:
            return [DrillRun(NOW, f"n{number}", "ab" * 32) for number in range(20)]

    answer = await answered(Drills(), Role.READER)

    drills = json.loads(answer.get_body())["drills"]
    assert [drill["account"] for drill in drills] == [f"n{number}" for number in range(19, 7, -1)]


async def test_subscriptions_that_are_not_monitored_are_named() -> None:
    answer = await answered(Readings(), Role.READER)

    others = json.loads(answer.get_body())["not_monitored"]
    assert (others["count"], others["first"][0]["name"]) == (1, "Forgotten")


async def test_unreadable_table_is_a_503_problem() -> None:
    answer = await answered(Readings(TransientFailure("Reading table readiness failed: 503.")), Role.READER)

    assert answer.status_code == 503
