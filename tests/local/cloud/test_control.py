import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from local.cloud import control
from local.entra.service import Entra
from local.network.faults import Faults
from local.reporters import reports
from local.reporters.reports import Posted
from local.storage.azurite import AzuriteError
from local.tenant.model import Account, Cloud, Incident, Mail, RecordedRequest, SignedIdentifier, now
from tests.support import samples


class Watched:
    """A control port of a cloud without data plane. It records its calls."""

    def __init__(self) -> None:
        self.cloud = Cloud(publish_keys=self._publish)
        self.faults = Faults()
        self.published: list[set[str]] = []
        self.resets = 0
        self.stopped: tuple[str, ...] = ()

    def app(self) -> Starlette:
        return control.app(
            self.cloud, self.faults, reset=self._reset, stopped_parts=lambda: self.stopped, report=self._report
        )

    async def _publish(self) -> None:
        self.published.append(set(self.cloud.accounts))

    async def _reset(self) -> None:
        self.resets += 1

    def _report(self, source: str, text: str) -> Posted:
        return reports.make(self.cloud, Entra(self.cloud), source=source, text=text)


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
async def client(watched: Watched) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(watched.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://control") as opened:
        yield opened


def request(sequence: int) -> RecordedRequest:
    return RecordedRequest(sequence, now(), "GET", "https://x/", 200, 1.0, None)


async def test_new_account_has_its_id_and_keys_and_is_published(watched: Watched, client: httpx.AsyncClient) -> None:
    body = {"name": "robustmodels", "resource_group": "research", "tags": {"sasquash-owner": "a@contoso.com"}}
    answer = await client.post("/accounts", json=body)
    account = watched.cloud.accounts["robustmodels"]
    assert answer.status_code == 201
    assert answer.json() == {"id": account.id, **account.keys, "keys": account.keys, **body}
    assert watched.published == [{"robustmodels"}]


async def test_second_account_of_a_name_conflicts(watched: Watched, client: httpx.AsyncClient) -> None:
    watched.cloud.accounts["models"] = Account("models", "tests")
    assert (await client.post("/accounts", json={"name": "models"})).status_code == 409


async def test_account_that_cannot_be_published_is_removed(
    watched: Watched, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise AzuriteError("Azurite has ended")

    watched.cloud.publish_keys = fail
    answer = await client.post("/accounts", json={"name": "models"})
    assert (answer.status_code, answer.json()["error"]["message"]) == (503, "Azurite has ended")
    assert watched.cloud.accounts == {}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "ab"},
        {"name": "Upper"},
        {"name": "a" * 25},
        {"name": 7},
        {"name": "models", "resource_group": ""},
        {"name": "models", "resource_group": "a/b"},
        {"name": "models", "tags": []},
        {"name": "models", "tags": {"a": 1}},
        {"name": "models", "tags": {"a": "x" * 257}},
        {"name": "models", "tags": {str(n): "" for n in range(51)}},
        {"name": "models", "tags": {"a": "\ud800"}},
        {"name": "models", "tags": {"a": "\x00"}},
        {"name": "models", "tags": {"<a>": ""}},
        {"name": "models", "tags": {"a": "", "A": ""}},
        {"name": "models", "\ud800": 1},
        ["models"],
    ],
)
async def test_malformed_account_is_refused(watched: Watched, client: httpx.AsyncClient, body: Any) -> None:
    # Encoded here, since httpx cannot encode a lone surrogate, which json.dumps escapes.
    answer = await client.post("/accounts", content=json.dumps(body))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadRequest")
    assert watched.cloud.accounts == {}


def storage_key(byte: int, length: int = 64) -> str:
    return base64.b64encode(bytes([byte]) * length).decode()


async def test_account_is_created_with_the_keys_that_a_stored_report_leaked(
    watched: Watched, client: httpx.AsyncClient
) -> None:
    keys = {"key2": storage_key(2), "key1": storage_key(1)}
    answer = await client.post("/accounts", json={"name": "models", "keys": keys})

    assert (answer.status_code, answer.json()["keys"], answer.json()["key2"]) == (201, keys, storage_key(2))
    assert list(watched.cloud.accounts["models"].keys.items()) == [("key1", storage_key(1)), ("key2", storage_key(2))]
    assert watched.published == [{"models"}]


@pytest.mark.parametrize(
    "keys",
    [
        None,
        [],
        "key1",
        {},
        {"key1": storage_key(1)},
        {"key2": storage_key(2)},
        {"key1": storage_key(1), "key2": None},
        {"key1": storage_key(1), "key2": 2},
        {"key1": storage_key(1), "key2": ""},
        {"key1": storage_key(1), "key2": storage_key(1)},
        {"key1": storage_key(1), "key2": storage_key(2), "kerb1": storage_key(3)},
        {"key1": storage_key(1), "key2": storage_key(2, length=63)},
        {"key1": storage_key(1), "key2": storage_key(2, length=65)},
        {"key1": storage_key(1), "key2": storage_key(2)[:-2]},
        {"key1": storage_key(1), "key2": f"{storage_key(2)}\n"},
        {"key1": storage_key(1), "key2": f"{storage_key(2)[:-3]}h=="},  # the same bytes, written in another way
        {"key1": storage_key(1), "key2": storage_key(255).replace("/", "_")},
        {"key1": storage_key(1), "key2": "\u00e9" * 88},
    ],
)
async def test_malformed_keys_are_refused_and_not_quoted(
    watched: Watched, client: httpx.AsyncClient, keys: object
) -> None:
    answer = await client.post("/accounts", content=json.dumps({"name": "models", "keys": keys}))

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadRequest")
    assert "key" in answer.json()["error"]["message"]
    assert storage_key(1)[:20] not in answer.text
    assert watched.cloud.accounts == {}


@pytest.mark.parametrize("body", [b"\xff{", b"[" * 100_000, b'{"name":' + b"[" * 5_000 + b"]" * 5_000 + b"}"])
async def test_body_that_is_not_json_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/accounts", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadRequest")


async def test_body_that_is_too_large_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/accounts", content=b" " * 2_000_000)).status_code == 413


async def test_state_shows_an_account_with_its_rotations(watched: Watched, client: httpx.AsyncClient) -> None:
    account = watched.cloud.accounts["models"] = Account("models", "tests")
    await watched.cloud.regenerate(account, "key2")
    shown = (await client.get("/state")).json()["accounts"]["models"]
    assert (shown["id"], shown["key1"], shown["key2"]) == (account.id, account.keys["key1"], account.keys["key2"])
    assert [rotation["key"] for rotation in shown["rotations"]] == ["key2"]
    assert shown["properties"]["allowSharedKeyAccess"] is True
    assert shown["delegation_keys_revoked_at"] is None


async def test_state_shows_the_policies_of_an_account(watched: Watched, client: httpx.AsyncClient) -> None:
    account = watched.cloud.accounts["models"] = Account("models", "tests")
    account.policies["blob", "web"] = (SignedIdentifier("partners", None), SignedIdentifier("readers", None))
    shown = (await client.get("/state")).json()["accounts"]["models"]
    assert shown["policies"] == {"blob/web": ["partners", "readers"]}


async def test_state_shows_every_recipient_of_a_mail(watched: Watched, client: httpx.AsyncClient) -> None:
    watched.cloud.mails.append(Mail("s@x", ("a@x",), ("b@x",), "subject", "body", "HTML", now()))
    mails = (await client.get("/state")).json()["mails"]
    assert mails == [{"to": ["a@x", "b@x"], "subject": "subject", "body": "body"}]


async def test_state_shows_the_fields_of_an_incident(watched: Watched, client: httpx.AsyncClient) -> None:
    watched.cloud.incidents.append(Incident("1", "sharepoint", {"FindingId": "f", "Title": "t"}))
    incidents = (await client.get("/state")).json()["incidents"]
    assert incidents == [{"id": "1", "sink": "sharepoint", "FindingId": "f", "Title": "t"}]


async def test_state_shows_text_that_has_no_utf_8_form(watched: Watched, client: httpx.AsyncClient) -> None:
    watched.cloud.events.append({"id": "\ud800"})
    answer = await client.get("/state")
    assert (answer.status_code, answer.json()["events"]) == (200, [{"id": "\ud800"}])


async def test_state_has_all_its_parts(client: httpx.AsyncClient) -> None:
    parts = {"accounts", "incidents", "mails", "dead_letters", "events", "vaults", "sources", "traces", "messages"}
    assert set((await client.get("/state")).json()) == parts


async def test_requests_since_a_number_are_those_after_it(watched: Watched, client: httpx.AsyncClient) -> None:
    watched.cloud.requests.extend(request(n) for n in (1, 2, 3))
    answer = (await client.get("/requests", params={"since": 2})).json()
    assert [recorded["sequence"] for recorded in answer] == [3]


async def test_requests_since_a_time_are_those_from_then_on(watched: Watched, client: httpx.AsyncClient) -> None:
    watched.cloud.requests.extend(request(n) for n in (1, 2, 3))
    since = watched.cloud.requests[1].at.isoformat()
    answer = (await client.get(f"/requests?since={since}")).json()
    assert [recorded["sequence"] for recorded in answer] == [2, 3]


async def test_invalid_since_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/requests?since=yesterday")).status_code == 400


async def test_fault_is_set_listed_and_removed(client: httpx.AsyncClient) -> None:
    choice = {"effect": "status", "status": 429, "code": "TooManyRequests", "delay_ms": 5, "after": True}
    fault = {"match": "regenerateKey", "times": 2, **choice}
    assert (await client.post("/faults", json=fault)).status_code == 201
    assert (await client.get("/faults")).json() == [{**fault, "hits": 0}]
    assert (await client.delete("/faults")).status_code == 204
    assert (await client.get("/faults")).json() == []


async def test_fault_may_stay_until_it_is_removed(watched: Watched, client: httpx.AsyncClient) -> None:
    await client.post("/faults", json={"match": "x", "effect": "hang", "times": None})
    assert watched.faults.all()[0].times is None


@pytest.mark.parametrize(
    "body",
    [
        {"effect": "reset"},
        {"match": "", "effect": "reset"},
        {"match": "\ud800"},
        {"match": "a\nb"},
        {"match": "x", "effect": "explode"},
        {"match": "x", "effect": "status", "status": 99},
        {"match": "x", "effect": "status", "status": True},
        {"match": "x", "effect": "status", "code": ""},
        {"match": "x", "effect": "status", "code": "a\r\nb"},
        {"match": "x", "effect": "status", "code": 403},
        {"match": "x", "effect": "reset", "times": 0},
        {"match": "x", "effect": "reset", "delay_ms": -1},
        {"match": "x", "effect": "reset", "after": 1},
        {"match": "x", "effect": "reset", "more": 1},
    ],
)
async def test_malformed_fault_is_refused(watched: Watched, client: httpx.AsyncClient, body: Any) -> None:
    assert (await client.post("/faults", content=json.dumps(body))).status_code == 400
    assert watched.faults.all() == ()


async def test_reset_is_called(watched: Watched, client: httpx.AsyncClient) -> None:
    assert (await client.post("/reset")).status_code == 204
    assert watched.resets == 1


async def test_health_says_what_has_stopped(watched: Watched, client: httpx.AsyncClient) -> None:
    watched.stopped = ("host 1",)
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()["stopped"]) == (503, ["host 1"])


async def test_health_is_good_while_all_runs(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("PUT", "/faults", 405)])
async def test_unknown_path_gets_a_json_error(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, "error" in answer.json()) == (status, True)


# Reports of sources


async def test_report_is_returned_ready_to_post_and_its_alert_is_shown(
    client: httpx.AsyncClient, watched: Watched
) -> None:
    made = await client.post("/reports", json={"source": "github", "text": samples.account_sas()})
    [kept] = (await client.get("/state")).json()["sources"]

    assert made.status_code == 201
    assert json.loads(made.json()["body"])["alert"]["number"] == kept["alert"] == 1
    assert made.json()["headers"]["X-Hub-Signature-256"].startswith("sha256=")
    assert (kept["source"], kept["state"], kept["resolution"]) == ("github", "open", None)
    assert "sig=" not in str(kept)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"source": "github"},
        {"source": 7, "text": "x"},
        {"source": "gitlab", "text": "x"},
        {"source": "wiz", "text": "x"},
    ],
)
async def test_report_about_nothing_is_refused(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await client.post("/reports", json=body)).status_code == 400


async def test_state_shows_the_spans_of_application_insights(watched: Watched, client: httpx.AsyncClient) -> None:
    data = {"id": "00f067aa0ba902b7", "name": "contained", "duration": "0.00:00:02.000000", "properties": {"x": "y"}}
    watched.cloud.telemetry.append(
        {
            "time": "2026-11-21T10:00:05Z",
            "tags": {"ai.operation.id": "4bf92f3577b34da6a3ce929d0e0e4736"},
            "data": {"baseType": "RemoteDependencyData", "baseData": data},
        }
    )

    [span] = (await client.get("/state")).json()["traces"]

    assert (span["trace"], span["name"], span["parent"]) == ("4bf92f3577b34da6a3ce929d0e0e4736", "contained", None)


async def test_delay_of_sas_policies_can_be_set(watched: Watched, client: httpx.AsyncClient) -> None:
    answers = [await client.post("/delays", json={"sas_policy_seconds": given}) for given in (2700, -1, "1", True)]

    assert [answer.status_code for answer in answers] == [204, 400, 400, 400]
    assert watched.cloud.sas_policy_seconds == 2700


async def test_account_can_be_created_with_logs(watched: Watched, client: httpx.AsyncClient) -> None:
    made = await client.post("/accounts", json={"name": "logging", "logged": ["blob"]})
    wrong = await client.post("/accounts", json={"name": "other", "logged": ["everything"]})

    assert (made.status_code, wrong.status_code) == (201, 400)
    assert list(watched.cloud.accounts["logging"].logged) == ["blob"]
