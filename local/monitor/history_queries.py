"""The product's queries of its own table in the workspace, answered from the rows that were ingested.

POST /v1/workspaces/{workspace id}/query (azure-rest-api-specs, OperationalInsights v1, Query_Execute). Table-level
access by the two roles of "Manage table-level access in a Log Analytics workspace". As in KQL, texts are compared by
`strcmp`, since `<` and `>` take no strings ("String operators"), and `startswith_cs` respects case.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from local.monitor.logs_ingestion import COLUMNS
from local.tenant.model import Cloud, now

RIGHTS = ("Sasquash History@workspace", "Reader@SasquashHistory_CL")

type Row = dict[str, Any]
type Result = tuple[list[tuple[str, str]], list[list[Any]]]

_TABLE = r"SasquashHistory_CL \| where "
_DISTINCT = r" \| distinct (?P<columns>[\w, ]+) \| take (?P<most>\d+)"
_OF_RANGE = re.compile(
    _TABLE + r"strcmp\(Fingerprint, '(?P<after>[0-9a-f]*)'\) > 0"
    r" and strcmp\(Fingerprint, '(?P<through>[0-9a-f]*)'\) <= 0" + _DISTINCT
)
_OF_ONE = re.compile(_TABLE + r"Fingerprint == '(?P<one>[0-9a-f]*)'" + _DISTINCT)
_PREFIX = _TABLE + r"Fingerprint startswith_cs '(?P<prefix>[0-9a-f]*)'"
_LINES = re.compile(_PREFIX + r" \| summarize take_any\((?P<any>[\w, ]+)\) by (?P<by>[\w, ]+)")
_LAST = re.compile(
    _PREFIX + r" \| where isnotempty\(Record\) \| summarize arg_max\(Line, Record\) by (?P<by>[\w, ]+)"
)


def answer(cloud: Cloud, kql: str) -> Result | None:
    """Return the result of a query; None if it is not one of the product's, or names a column that is not there."""
    rows = [row.columns for row in cloud.history if row.visible_from <= now()]
    queries: tuple[tuple[re.Pattern[str], Callable[[list[Row], re.Match[str]], Result]], ...] = (
        (_OF_RANGE, _of_range),
        (_OF_ONE, _of_one),
        (_LINES, _lines),
        (_LAST, _last),
    )
    for pattern, respond in queries:
        match = pattern.fullmatch(kql)
        if match is not None:
            try:
                return respond(rows, match)
            except KeyError:
                return None
    return None


def _of_range(rows: list[Row], match: re.Match[str]) -> Result:
    return _distinct([row for row in rows if match["after"] < row["Fingerprint"] <= match["through"]], match)


def _of_one(rows: list[Row], match: re.Match[str]) -> Result:
    return _distinct([row for row in rows if row["Fingerprint"] == match["one"]], match)


def _distinct(rows: Iterable[Row], match: re.Match[str]) -> Result:
    names = match["columns"].split(", ")
    found = dict.fromkeys(tuple(row[name] for name in names) for row in rows)
    return _described(names), [list(values) for values in found][: int(match["most"])]


def _lines(rows: list[Row], match: re.Match[str]) -> Result:
    by, others = match["by"].split(", "), match["any"].split(", ")
    found = {tuple(row[name] for name in by): row for row in _within(rows, match)}
    return _described([*by, *others]), [[row[name] for name in (*by, *others)] for row in found.values()]


def _last(rows: list[Row], match: re.Match[str]) -> Result:
    by = match["by"].split(", ")
    found: dict[tuple[Any, ...], Row] = {}
    for row in _within(rows, match):
        key = tuple(row[name] for name in by)
        if row["Record"] and (key not in found or row["Line"] > found[key]["Line"]):
            found[key] = row
    names = [*by, "Line", "Record"]
    return _described(names), [[row[name] for name in names] for row in found.values()]


def _within(rows: Iterable[Row], match: re.Match[str]) -> list[Row]:
    return [row for row in rows if row["Fingerprint"].startswith(match["prefix"])]


def _described(names: Iterable[str]) -> list[tuple[str, str]]:
    kinds = {"At": "datetime"}
    return [(name, kinds.get(name, "long" if COLUMNS[name] is int else "string")) for name in names]
