"""What a refusal of Sasquash's own tables, queues and blobs means: no verdict on a leak."""

import json
from collections.abc import Callable

import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from azure.data.tables.aio import TableServiceClient

from local.memory.exchange import Answer, Request
from shared.cloud.errors import translate_errors
from shared.errors import Blocked, StorageRefused, Throttled, TransientFailure
from shared.persistence.own_storage import own_blobs, own_queues, own_tables
from shared.persistence.revocations import Ledger
from shared.persistence.state_index import StateIndex
from tests.support import samples
from tests.support.memory_tables import connected
from tests.support.samples import NOW

Block = Callable[[str], translate_errors]


class Response:
    """As much of an HTTP response as azure-core's errors read."""

    def __init__(self, status: int) -> None:
        self.status_code = status
        self.reason = "reason"
        self.headers: dict[str, str] = {}
        self.request = HttpRequest("GET", "https://sasquashstate.table.core.windows.net")

    def text(self) -> str:
        return json.dumps({"error": {"code": "SomeCode", "message": "m"}})

    def body(self) -> bytes:
        return self.text().encode()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413])
@pytest.mark.parametrize(
    ("block", "role"),
    [
        (own_tables, "Storage Table Data Contributor"),
        (own_queues, "Storage Queue Data Contributor"),
        (own_blobs, "Storage Blob Data Owner"),
    ],
)
def test_refusal_of_own_storage_is_transient_and_says_which_right_to_check(
    block: Block, role: str, status: int
) -> None:
    with pytest.raises(StorageRefused) as raised, block("Writing a row"):
        raise HttpResponseError(response=Response(status))

    assert isinstance(raised.value, TransientFailure)
    assert not isinstance(raised.value, Blocked)
    said = str(raised.value)
    assert said.startswith(f"Sasquash's own storage refuses. Writing a row failed: {status} ")
    names_the_right = role in said and said.endswith("See docs/rights.md.")  # the alert rule matches this
    assert names_the_right is (status not in (409, 412))  # somebody was faster: no right prevents that


@pytest.mark.parametrize(("status", "kind"), [(429, Throttled), (500, TransientFailure), (503, TransientFailure)])
def test_other_failures_of_own_storage_are_what_they_are_elsewhere(status: int, kind: type[TransientFailure]) -> None:
    with pytest.raises(kind) as raised, own_tables("Writing a row"):
        raise HttpResponseError(response=Response(status))

    assert not isinstance(raised.value, StorageRefused)


def refusing(status: int) -> TableServiceClient:
    async def refuse(_request: Request) -> Answer:
        body = json.dumps({"odata.error": {"code": "AuthorizationFailure", "message": {"value": "m"}}}).encode()
        return Answer(status, {"content-type": "application/json"}, body)

    return connected(refuse)


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_record_is_no_verdict_whatever_is_done_with_it(status: int) -> None:
    tables = refusing(status)
    index = StateIndex(tables.get_table_client("states"), clock=lambda: NOW)
    ledger = Ledger(tables.get_table_client("revocations"), index, clock=lambda: NOW, new_id=lambda: "1")
    for refused in (ledger.read("ab" * 32), ledger.claim(samples.finding()), ledger.ping()):
        with pytest.raises(StorageRefused, match=r"docs/rights\.md"):
            await refused
