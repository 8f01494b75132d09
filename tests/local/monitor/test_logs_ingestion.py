"""The stand-in for a data collection rule's endpoint, and the queries of its table.

Contract: azure-rest-api-specs, monitor/data-plane/ingestion, stable/2023-01-01, DataCollectionRules.json (Upload);
MicrosoftDocs/azure-monitor-docs, logs-ingestion-api-overview.md, service-limits (Logs Ingestion API).
"""

import gzip
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from local.entra.tokens import ARM, MONITOR, Entra
from local.monitor import history_queries, logs_ingestion
from local.monitor.logs_ingestion import STREAM
from local.network.hostnames import HISTORY_HOST
from local.tenant.model import HISTORY_RULE, Cloud
from tests.local.monitor.conftest import Bearer
from tests.support.asgi import client

UPLOAD = f"/dataCollectionRules/{HISTORY_RULE}/streams/{STREAM}?api-version=2023-01-01"
ROW = {"Fingerprint": "ab" * 32, "Chain": "c", "Line": 1, "Hash": "h", "What": "Contained."}


@pytest.fixture
async def api(cloud: Cloud, entra: Entra) -> AsyncIterator[httpx.AsyncClient]:
    async with client(logs_ingestion.app(cloud, entra), HISTORY_HOST) as opened:
        yield opened


async def test_rows_are_accepted_with_an_empty_204(api: httpx.AsyncClient, cloud: Cloud, bearer: Bearer) -> None:
    answer = await api.post(UPLOAD, json=[ROW], headers=bearer())
    assert (answer.status_code, answer.content) == (204, b"")
    assert [row.columns["What"] for row in cloud.history] == ["Contained."]


async def test_body_may_be_compressed(api: httpx.AsyncClient, bearer: Bearer) -> None:
    headers = bearer() | {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = await api.post(UPLOAD, content=gzip.compress(json.dumps([ROW]).encode()), headers=headers)
    assert answer.status_code == 204


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        (UPLOAD.replace(STREAM, "Custom-Other_CL"), (400, "InvalidStream")),
        (UPLOAD.replace(HISTORY_RULE, "dcr-" + "0" * 32), (404, "NotFound")),
        (UPLOAD.partition("?")[0], (400, "UnsupportedApiVersion")),
        (UPLOAD.replace("2023-01-01", "2019-01-01"), (400, "UnsupportedApiVersion")),
    ],
)
async def test_unknown_stream_rule_or_version_is_refused(
    api: httpx.AsyncClient, bearer: Bearer, path: str, refusal: tuple[int, str]
) -> None:
    answer = await api.post(path, json=[ROW], headers=bearer())
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == refusal


@pytest.mark.parametrize("body", [b"{}", b"[1]", b"nonsense", b""])
async def test_body_that_is_no_array_of_objects_is_refused(
    api: httpx.AsyncClient, cloud: Cloud, bearer: Bearer, body: bytes
) -> None:
    answer = await api.post(UPLOAD, content=body, headers=bearer())
    assert (answer.status_code, cloud.history) == (400, [])


async def test_more_than_a_megabyte_is_refused_compressed_or_not(api: httpx.AsyncClient, bearer: Bearer) -> None:
    body = json.dumps([ROW | {"What": "x" * 2**20}]).encode()
    plain = await api.post(UPLOAD, content=body, headers=bearer())
    headers = bearer() | {"Content-Encoding": "gzip"}
    packed = await api.post(UPLOAD, content=gzip.compress(body), headers=headers)
    assert (plain.status_code, packed.status_code) == (413, 413)


async def test_long_field_is_cut_and_unknown_column_is_dropped(
    api: httpx.AsyncClient, cloud: Cloud, bearer: Bearer
) -> None:
    await api.post(UPLOAD, json=[ROW | {"Record": "x" * 70_000, "Other": "y"}], headers=bearer())
    [row] = cloud.history
    assert len(row.columns["Record"]) == 64 * 1024
    assert "Other" not in row.columns


@pytest.mark.parametrize(("who", "status"), [(("intake", MONITOR), 403), (("responder", ARM), 401)])
async def test_only_the_responder_with_a_token_for_monitor_may_add_rows(
    api: httpx.AsyncClient, cloud: Cloud, bearer: Bearer, who: tuple[str, str], status: int
) -> None:
    answer = await api.post(UPLOAD, json=[ROW], headers=bearer(*who))
    assert (answer.status_code, cloud.history) == (status, [])


async def test_rows_can_be_queried_after_a_while(api: httpx.AsyncClient, cloud: Cloud, bearer: Bearer) -> None:
    kql = f"SasquashHistory_CL | where Fingerprint == '{ROW['Fingerprint']}' | distinct Line, Hash | take 10"
    cloud.history_delay = 600
    await api.post(UPLOAD, json=[ROW], headers=bearer())
    late = history_queries.answer(cloud, kql)
    cloud.history_delay = 0
    await api.post(UPLOAD, json=[ROW], headers=bearer())
    found = history_queries.answer(cloud, kql)
    assert late is not None
    assert late[1] == []
    assert found is not None
    assert found[1] == [[1, "h"]]


@pytest.mark.parametrize(
    "kql",
    [
        "SasquashHistory_CL",
        "SasquashHistory_CL | where Fingerprint == 'ab' | distinct Other | take 10",
        "SasquashHistory_CL | where Fingerprint > 'ab' | distinct Line | take 10",  # KQL does not order texts by >
    ],
)
def test_other_query_is_a_syntax_error(cloud: Cloud, kql: str) -> None:
    cloud.history.append(logs_ingestion.CustomLogRow(logs_ingestion.now(), logs_ingestion._row(ROW)))
    assert history_queries.answer(cloud, kql) is None
