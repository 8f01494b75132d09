"""Answers the product's query of writes of access policies, by the columns of StorageBlobLogs and the like.

Azure Monitor Logs reference, "StorageTableLogs": RequesterUpn, RequesterObjectId and RequesterAppId are of OAuth.
Kusto: parse_url(), url_decode(), trim(), and `=~`, which compares without regard to case.
"""

import re
from collections.abc import Iterable
from datetime import UTC
from typing import Any
from urllib.parse import unquote, urlsplit

from local.tenant.model import StorageLogLine

_WRITES = re.compile(
    r"union isfuzzy=true StorageBlobLogs, StorageQueueLogs, StorageTableLogs, StorageFileLogs"
    r" \| where OperationName =~ '(?P<operation>Set[A-Za-z]+ACL)'"
    r" and trim\('/', url_decode\(tostring\(parse_url\(Uri\)\.Path\)\)\) =~ '(?P<resource>[A-Za-z0-9$-]+)'"
    r" \| extend Served = toint\(StatusCode\) < 400 \| where Served"
    r" \| project TimeGenerated, AuthenticationHash, RequesterUpn, RequesterObjectId, RequesterAppId,"
    r" CallerIpAddress, ClientRequestId \| top (?P<most>\d+) by TimeGenerated desc"
)
_COLUMNS = [
    ("TimeGenerated", "datetime"),
    ("AuthenticationHash", "string"),
    ("RequesterUpn", "string"),
    ("RequesterObjectId", "string"),
    ("RequesterAppId", "string"),
    ("CallerIpAddress", "string"),
    ("ClientRequestId", "string"),
]


def answer(kql: str, lines: Iterable[StorageLogLine]) -> tuple[list[tuple[str, str]], list[list[Any]]] | None:
    """Return the columns and rows of the result; None if it is not this query."""
    match = _WRITES.fullmatch(kql)
    if match is None:
        return None
    found = [
        line
        for line in lines
        if line.operation.lower() == match["operation"].lower()
        and unquote(urlsplit(line.uri).path).strip("/").lower() == match["resource"].lower()
        and line.status < 400
    ]
    found.sort(key=lambda line: line.at, reverse=True)
    return _COLUMNS, [_row(line) for line in found[: int(match["most"])]]


def _row(line: StorageLogLine) -> list[Any]:
    return [
        line.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        line.authentication_hash,
        line.requester_upn,
        line.requester_object_id,
        line.requester_app_id,
        line.address,
        line.request_id,
    ]
