"""GET /api/sas: roles, the query, what can't be seen, and logs that can't be read."""

import json
from dataclasses import replace
from typing import Any

import azure.functions as func
import pytest

from shared.api.auth.access_tokens import Role
from shared.api.sas_in_use import SasInUseApi, SasQuery, read_query
from shared.domain.readiness import Check, Trouble
from shared.errors import InvalidRequest, TransientFailure
from shared.persistence.readiness import AccountCheck
from shared.watch.service import Found
from tests.support.entra import access_tokens, token
from tests.support.http_functions import Readings, sas_in_use
from tests.support.logged_tokens import KEYS, MemoryLogs, account_token, container_token, logged

LOG = Trouble(Check.LOG, False, "Requests to its queue service are not logged.")
LOCK = Trouble(Check.LOCK, True, "Locked.")


class Unlogged(Readings):
    """The latest checks: two accounts with a service that is not logged, and one that is locked."""

    async def checks(self) -> list[AccountCheck]:
        [check, _] = await super().checks()
        return [
            replace(check, account="zeta", troubles=(LOG,)),
            replace(check, account="alpha", troubles=(LOCK, LOG)),
            replace(check, account="beta", troubles=(LOCK,)),
        ]


async def answered(
    *roles: str, query: str = "", logs: MemoryLogs | None = None, readings: Readings | None = None
) -> func.HttpResponse:
    headers = {"authorization": f"Bearer {token(roles=list(roles))}"} if roles else {}
    known = logs or MemoryLogs([logged(account_token()), logged(container_token())])
    api = SasInUseApi(sas_in_use(known), readings or Unlogged(), access_tokens())  # type: ignore[arg-type]
    return await api.read(func.HttpRequest("GET", f"https://x/api/sas{query}", headers=headers, body=b""))


def body(answer: func.HttpResponse) -> Any:
    return json.loads(answer.get_body())


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.READER, 200), (Role.RESPONDER, 200), (Role.APPROVER, 200), (Role.REPORTER, 403), (None, 401)],
)
async def test_roles_that_read_records_read_it(role: Role | None, status: int) -> None:
    logs = MemoryLogs([logged(account_token())])

    answer = await answered(*([role.value] if role is not None else []), logs=logs)

    assert answer.status_code == status
    assert bool(logs.listed) is (status == 200)  # keys of nobody are listed for a stranger


async def test_page_is_asked_for_with_the_parameters_of_the_query() -> None:
    first = body(await answered(Role.READER, query="?limit=1&days=7&account=robustmodels"))
    second = body(await answered(Role.READER, query=f"?limit=1&days=7&account=robustmodels&after={first['next']}"))

    assert (first["days"], len(first["tokens"]), second["next"]) == (7, 1, None)
    assert first["tokens"][0]["id"] != second["tokens"][0]["id"]
    assert first["tokens"][0]["id"] == first["next"]


def test_defaults_are_thirty_days_of_all_accounts() -> None:
    assert read_query("https://x/api/sas") == SasQuery(account=None, days=30, limit=50, after=None)
    assert read_query("https://x/api/sas?days=90&limit=100").days == 90


@pytest.mark.parametrize(
    "query",
    [
        "days=0",
        "days=91",
        "days=1e3",
        "days=%2B7",
        "limit=101",
        "limit=",
        "account=Evil",
        "account=x'%20or%20true",
        "after=next",
        f"after=robustmodels.{'AB' * 32}",
        f"after=robustmodels.{'ab' * 32}%0A",
        "state=failed",
        "days=7&days=8",
    ],
)
def test_query_with_another_value_is_refused_without_repeating_it(query: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_query(f"https://x/api/sas?{query}")

    assert "Evil" not in str(refused.value)


async def test_accounts_without_logs_are_named() -> None:
    everywhere = body(await answered(Role.READER))["not_logged"]
    of_one = body(await answered(Role.READER, query="?account=zeta"))["not_logged"]

    assert (everywhere["count"], [each["name"] for each in everywhere["first"]]) == (2, ["alpha", "zeta"])
    assert "queue service are not logged" in everywhere["first"][0]["said"]
    assert [each["name"] for each in of_one["first"]] == ["zeta"]


async def test_logs_that_cannot_be_read_are_a_503_problem() -> None:
    class Failing(MemoryLogs):
        async def tokens(self, *, account: str | None, days: int) -> Found:
            raise TransientFailure("Querying the storage logs of x failed: 503.")

    assert (await answered(Role.READER, logs=Failing([]))).status_code == 503


async def test_answer_holds_no_key_and_no_signature() -> None:
    answer = await answered(Role.READER)

    text = answer.get_body().decode()
    assert answer.headers["Cache-Control"] == "no-store"
    assert "sig=" not in text
    assert not any(value in text for value in KEYS.values())
