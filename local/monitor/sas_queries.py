"""Answers the product's query of the SAS in use, by the columns of StorageBlobLogs and the like.

Azure Monitor Logs reference, "StorageBlobLogs"; "Standard columns in Azure Monitor Logs" (_ResourceId). Kusto:
replace_regex(), make_set() and make_set_if(), whose dynamic values the API sends as JSON text, take_anyif(), and `=~`
and `contains`, which compare without regard to case.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from local.tenant.model import Account, StorageLogLine

_QUERY = re.compile(
    r"union isfuzzy=true StorageBlobLogs, StorageQueueLogs, StorageTableLogs, StorageFileLogs"
    r" \| where AuthenticationType =~ 'SAS' or AuthenticationHash contains 'SasSignature\('"
    r" \| extend Served = toint\(StatusCode\) < 400,"
    r" Address = replace_regex\(CallerIpAddress, @'(?P<port>[^']+)', ''\),"
    r" Link = substring\(Uri, 0, (?P<longest>\d+)\)"
    r" \| summarize First = min\(TimeGenerated\), Last = max\(TimeGenerated\), Requests = count\(\),"
    r" Accepted = countif\(Served\), AcceptedUrls = make_set_if\(Link, Served, (?P<urls>\d+)\),"
    r" RefusedUrl = take_anyif\(Link, not\(Served\)\), ResourceId = take_any\(_ResourceId\),"
    r" Addresses = make_set\(Address, (?P<addresses>\d+)\),"
    r" Agents = make_set\(substring\(UserAgentHeader, 0, (?P<agent>\d+)\), (?P<agents>\d+)\),"
    r" Operations = make_set\(OperationName, (?P<operations>\d+)\)"
    r" by AuthenticationHash, AccountName \| order by Accepted desc, Last desc \| take (?P<most>\d+)"
)
_COLUMNS = [
    ("AuthenticationHash", "string"),
    ("AccountName", "string"),
    ("First", "datetime"),
    ("Last", "datetime"),
    ("Requests", "long"),
    ("Accepted", "long"),
    ("AcceptedUrls", "dynamic"),
    ("RefusedUrl", "string"),
    ("ResourceId", "string"),
    ("Addresses", "dynamic"),
    ("Agents", "dynamic"),
    ("Operations", "dynamic"),
]


def answer(
    kql: str, lines: Iterable[StorageLogLine], accounts: Mapping[str, Account], *, since: datetime, until: datetime
) -> tuple[list[tuple[str, str]], list[list[Any]]] | None:
    """Return the columns and rows of the result; None if it is not this query."""
    match = _QUERY.fullmatch(kql)
    if match is None:
        return None
    groups: dict[tuple[str, str], list[StorageLogLine]] = {}
    for line in lines:
        is_sas = line.authentication_type.lower() == "sas" or "sassignature(" in line.authentication_hash.lower()
        if is_sas and since <= line.at <= until:
            groups.setdefault((line.authentication_hash, line.account), []).append(line)
    rows = [_row(key, group, accounts[key[1]].id, match) for key, group in groups.items() if key[1] in accounts]
    rows.sort(key=lambda row: (row[5], row[3]), reverse=True)
    return _COLUMNS, rows[: int(match["most"])]


def _row(key: tuple[str, str], lines: list[StorageLogLine], resource_id: str, match: re.Match[str]) -> list[Any]:
    longest = int(match["longest"])
    served = [line.uri[:longest] for line in lines if line.status < 400]
    refused = [line.uri[:longest] for line in lines if line.status >= 400]
    addresses = [re.sub(match["port"], "", line.address) for line in lines]
    return [
        *key,
        _time(min(line.at for line in lines)),
        _time(max(line.at for line in lines)),
        len(lines),
        len(served),
        _set(served, match["urls"]),
        next(iter(refused), ""),
        resource_id.lower(),
        _set(addresses, match["addresses"]),
        _set([line.agent[: int(match["agent"])] for line in lines], match["agents"]),
        _set([line.operation for line in lines], match["operations"]),
    ]


def _set(texts: list[str], most: str) -> str:
    return json.dumps(list(dict.fromkeys(texts))[: int(most)])


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
