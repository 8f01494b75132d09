"""The Graph adapter on the real msgraph-sdk: right requests, sent once, and failures by kind."""

import asyncio
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from azure.core.exceptions import ClientAuthenticationError

from shared.cloud.graph import Graph
from shared.domain.message import Message
from shared.domain.person import Person
from shared.errors import Blocked, NotFound, SasquashError, Throttled, TransientFailure
from tests.support.fake_graph import LIST, SENDER, SITE, TOKEN, Credential, FakeGraph, Fault, error

_BASE_URL = "https://graph.microsoft.com"
_FINDING = "cd" * 32
_ISSUER = "81ee9332-c35d-4c3e-9f21-3f7f99e80623"
_MESSAGE = Message("A subject", "<p>Hello</p>", ("ada@contoso.com", "bo@contoso.com"), ("security@contoso.com",))


@pytest.fixture
def service() -> FakeGraph:
    return FakeGraph()


@pytest.fixture
async def graph(service: FakeGraph) -> AsyncIterator[Graph]:
    graph = Graph(Credential(), base_url=_BASE_URL, transport=service.transport)
    yield graph
    await graph.close()


async def _user(graph: Graph) -> object:
    return await graph.user("ada@contoso.com")


async def _principal(graph: Graph) -> object:
    return await graph.principal_exists(_ISSUER)


async def _send_mail(graph: Graph) -> object:
    await graph.send_mail(SENDER, _MESSAGE, finding_id="c3id")
    return None


async def _find(graph: Graph) -> object:
    return await graph.find_list_item(site=SITE, list_=LIST, finding_id=_FINDING)


async def _create(graph: Graph) -> object:
    return await graph.create_list_item(site=SITE, list_=LIST, fields={"FindingId": _FINDING})


async def _update(graph: Graph) -> object:
    await graph.update_list_item(site=SITE, list_=LIST, item_id="1", fields={"Status": "closed"})
    return None


_CALLS = {
    "GET user": _user,
    "GET principal": _principal,
    "POST mail": _send_mail,
    "GET item": _find,
    "POST item": _create,
    "PATCH item": _update,
}
each_call = pytest.mark.parametrize(
    ("method", "call"), [(name.split()[0], call) for name, call in _CALLS.items()], ids=list(_CALLS)
)
Call = Callable[[Graph], Awaitable[object]]


async def test_a_user_is_looked_up_by_address(service: FakeGraph, graph: Graph) -> None:
    service.users["ada@contoso.com"] = {"id": "1", "displayName": "Ada", "mail": "ada.l@contoso.com"}
    assert await graph.user("ada@contoso.com") == Person("Ada", "ada.l@contoso.com")


async def test_nobody_is_none(graph: Graph) -> None:
    assert await graph.user("nobody@contoso.com") is None


async def test_an_address_cannot_leave_its_path_segment(service: FakeGraph, graph: Graph) -> None:
    await graph.user("../groups/x?y#z@contoso.com")
    assert service.requests[0].url.raw_path.startswith(b"/v1.0/users/..%2Fgroups%2Fx%3Fy%23z%40contoso.com?")


@pytest.mark.parametrize(
    ("principals", "exists"),
    [({_ISSUER: "users"}, True), ({_ISSUER: "servicePrincipals"}, True), ({}, False), ({"x": "users"}, False)],
    ids=["a person", "an app", "nobody", "somebody else"],
)
async def test_a_principal_is_a_user_or_a_service_principal(
    service: FakeGraph, graph: Graph, principals: dict[str, str], exists: bool
) -> None:
    service.principals = principals
    assert await graph.principal_exists(_ISSUER) is exists


@pytest.mark.parametrize("object_id", ["", "me", "../me", f"{_ISSUER}\n", f"{_ISSUER}/manager", _ISSUER[1:]])
async def test_only_a_guid_is_looked_up_as_a_principal(service: FakeGraph, graph: Graph, object_id: str) -> None:
    with pytest.raises(ValueError, match="GUID"):
        await graph.principal_exists(object_id)
    assert service.requests == []


async def test_a_principal_that_may_only_be_looked_up_among_users_is_not_said_to_be_missing(
    service: FakeGraph, graph: Graph
) -> None:
    refused = error(403, "Authorization_RequestDenied")
    missing = error(404, "Request_ResourceNotFound")
    service.faults += [Fault("GET", lambda _: missing), Fault("GET", lambda _: refused)]
    with pytest.raises(Blocked, match=r"Application\.Read\.All"):
        await graph.principal_exists(_ISSUER)


async def test_a_mail_is_sent_with_recipients_and_header(service: FakeGraph, graph: Graph) -> None:
    await graph.send_mail(SENDER, _MESSAGE, finding_id="Zm9v+/YmFy")
    (mail,) = service.mails
    assert mail["subject"] == "A subject"
    assert mail["body"] == {"contentType": "html", "content": "<p>Hello</p>"}
    assert [to["emailAddress"] for to in mail["toRecipients"]] == [{"address": to} for to in _MESSAGE.to]
    assert [cc["emailAddress"] for cc in mail["ccRecipients"]] == [{"address": "security@contoso.com"}]
    assert mail["internetMessageHeaders"] == [{"name": "x-sas-finding", "value": "Zm9v+/YmFy"}]


@pytest.mark.parametrize("finding_id", ["", "a\r\nBcc: eve@evil.example", "a b", "a" * 65, "a\n"])
async def test_a_header_value_that_is_no_id_is_refused(service: FakeGraph, graph: Graph, finding_id: str) -> None:
    with pytest.raises(ValueError, match="x-sas-finding"):
        await graph.send_mail(SENDER, _MESSAGE, finding_id=finding_id)
    assert service.requests == []


async def test_an_item_is_created_found_and_updated(service: FakeGraph, graph: Graph) -> None:
    item = await graph.create_list_item(site=SITE, list_=LIST, fields={"FindingId": _FINDING, "Status": "proven"})
    await graph.update_list_item(site=SITE, list_=LIST, item_id=item, fields={"Status": "closed", "Key": ""})
    assert await graph.find_list_item(site=SITE, list_=LIST, finding_id=_FINDING) == item
    assert service.items[item] == {"FindingId": _FINDING, "Status": "closed", "Key": ""}


async def test_no_item_is_none(graph: Graph) -> None:
    assert await _find(graph) is None


async def test_an_item_of_another_finding_is_never_taken_for_ours(service: FakeGraph, graph: Graph) -> None:
    others = {"value": [{"id": "7", "fields": {"FindingId": "ee" * 32}}]}
    service.faults.append(Fault("GET", lambda _: httpx.Response(200, json=others)))
    assert await _find(graph) is None


@pytest.mark.parametrize("finding_id", ["", "' or true or '", "AB" * 32, _FINDING + "\n"])
async def test_only_hex_goes_into_a_filter(service: FakeGraph, graph: Graph, finding_id: str) -> None:
    with pytest.raises(ValueError, match="64 lower-case hex digits"):
        await graph.find_list_item(site=SITE, list_=LIST, finding_id=finding_id)
    assert service.requests == []


@each_call
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Blocked),
        (401, Blocked),
        (403, Blocked),
        (408, TransientFailure),
        (429, Throttled),
        (500, TransientFailure),
        (502, TransientFailure),
        (503, TransientFailure),
        (504, TransientFailure),
    ],
)
async def test_each_failure_has_its_kind_and_is_sent_once(
    service: FakeGraph, graph: Graph, *, method: str, call: Call, status: int, kind: type[SasquashError]
) -> None:
    service.faults.append(Fault(method, lambda _: error(status, "someCode")))
    with pytest.raises(SasquashError) as raised:
        await call(graph)
    assert type(raised.value) is kind
    assert len(service.requests) == 1


@pytest.mark.parametrize("call", [_send_mail, _find, _create, _update])
async def test_what_is_not_there_is_not_found(service: FakeGraph, graph: Graph, call: Call) -> None:
    service.faults += [Fault(method, lambda _: error(404, "itemNotFound")) for method in ("GET", "POST", "PATCH")]
    with pytest.raises(NotFound):
        await call(graph)


@each_call
@pytest.mark.parametrize(
    ("failure", "sent"),
    [
        (httpx.ConnectError("no route"), False),
        (httpx.ConnectTimeout("slow"), False),
        (httpx.ReadError("reset"), True),
        (httpx.ReadTimeout("slow"), True),
        (httpx.RemoteProtocolError("half an answer"), True),
    ],
)
async def test_a_connection_failure_passes_and_says_whether_the_request_was_sent(
    service: FakeGraph, graph: Graph, *, method: str, call: Call, failure: Exception, sent: bool
) -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise failure

    service.faults.append(Fault(method, fail))
    with pytest.raises(TransientFailure) as raised:
        await call(graph)
    assert raised.value.sent is sent
    assert len(service.requests) == 1


@each_call
async def test_a_call_that_never_ends_is_ended(method: str, call: Call) -> None:
    class Hanging(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError

    graph = Graph(Credential(), base_url=_BASE_URL, timeout=0.01, transport=Hanging())
    with pytest.raises(TransientFailure, match="TimeoutError"):
        await call(graph)
    await graph.close()


async def test_retry_after_is_passed_on(service: FakeGraph, graph: Graph) -> None:
    service.faults.append(Fault("POST", lambda _: error(429, "tooManyRequests", Retry_After="17")))
    with pytest.raises(Throttled) as raised:
        await _send_mail(graph)
    assert raised.value.retry_after == 17


@pytest.mark.parametrize("value", ["", "soon"])
async def test_a_retry_after_that_cannot_be_read_is_none(service: FakeGraph, graph: Graph, value: str) -> None:
    service.faults.append(Fault("POST", lambda _: error(503, "busy", Retry_After=value)))
    with pytest.raises(TransientFailure) as raised:
        await _send_mail(graph)
    assert raised.value.retry_after is None


@each_call
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_neither_followed_nor_taken_for_success(
    service: FakeGraph, graph: Graph, method: str, call: Call, status: int
) -> None:
    moved = httpx.Response(status, headers={"Location": "https://evil.example/"})
    service.faults.append(Fault(method, lambda _: moved))
    with pytest.raises(Blocked, match="redirect"):
        await call(graph)
    assert len(service.requests) == 1


@pytest.mark.parametrize("call", [_find, _create])
@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>a gateway's page</html>", headers={"Content-Type": "text/html"}),
        httpx.Response(200, text='{"value": ', headers={"Content-Type": "application/json"}),
        httpx.Response(200, text="[]", headers={"Content-Type": "application/json"}),
    ],
    ids=["html", "half", "array"],
)
async def test_an_answer_that_cannot_be_read_passes(
    service: FakeGraph, graph: Graph, call: Call, answer: httpx.Response
) -> None:
    service.faults += [Fault(method, lambda _: answer) for method in ("GET", "POST")]
    with pytest.raises(TransientFailure):
        await call(graph)


@pytest.mark.parametrize("answer", [httpx.Response(201), httpx.Response(201, json={})], ids=["empty", "no id"])
async def test_an_item_created_without_an_id_passes(service: FakeGraph, graph: Graph, answer: httpx.Response) -> None:
    service.faults.append(Fault("POST", lambda _: answer))
    with pytest.raises(TransientFailure, match="names no item"):
        await _create(graph)


@each_call
async def test_a_failure_says_neither_body_nor_address_nor_token(
    service: FakeGraph, graph: Graph, method: str, call: Call
) -> None:
    service.faults.append(Fault(method, lambda _: error(403, "x" * 500)))
    with pytest.raises(Blocked) as raised:
        await call(graph)
    assert "403 no code" in str(raised.value)
    assert "contoso" not in str(raised.value)
    logged = "".join(traceback.format_exception(raised.value))
    for private in ("the body of the answer", "x" * 65, TOKEN):
        assert private not in logged


async def test_the_token_is_asked_for_graph_and_goes_to_no_other_host() -> None:
    service, credential = FakeGraph(), Credential()
    graph = Graph(credential, base_url=_BASE_URL, transport=service.transport)
    graph._client.request_adapter.base_url = "https://evil.example/v1.0"
    with pytest.raises(SasquashError):
        await graph.user("ada@contoso.com")
    assert credential.scopes == []
    assert "Authorization" not in service.requests[0].headers


async def test_the_scope_is_that_of_the_cloud() -> None:
    credential = Credential()
    graph = Graph(credential, base_url="https://graph.microsoft.us", transport=FakeGraph().transport)
    with pytest.raises(Blocked):
        await graph.user("ada@contoso.com")
    assert credential.scopes == ["https://graph.microsoft.us/.default"]


async def test_a_missing_token_passes_and_nothing_was_sent() -> None:
    service = FakeGraph()
    credential = Credential(ClientAuthenticationError("the identity endpoint said too much"))
    graph = Graph(credential, base_url=_BASE_URL, transport=service.transport)
    with pytest.raises(TransientFailure) as raised:
        await _create(graph)
    assert raised.value.sent is False
    assert "too much" not in str(raised.value)
    assert service.requests == []


async def test_close_closes_the_connections() -> None:
    class Transport(httpx.MockTransport):
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    transport = Transport(lambda _: httpx.Response(200))
    await Graph(Credential(), base_url=_BASE_URL, transport=transport).close()
    assert transport.closed


def test_nothing_but_the_adapter_imports_msgraph() -> None:
    script = (
        "import sys, shared.followup.mail.compose\n"
        "import shared.followup.incidents.sharepoint, shared.followup.owners.parsing\n"
        "sys.exit(any(name.split('.')[0] in ('msgraph', 'kiota_http', 'httpx') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
