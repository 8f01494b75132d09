"""The copy of all histories: a table of the Log Analytics workspace that the app's identity can only add to.

Lines go to a data collection rule over the Logs Ingestion API (azure-rest-api-specs, monitor/data-plane/ingestion,
2023-01-01, Upload; "Logs Ingestion API in Azure Monitor"). It takes 1 MB a call and cuts a field at 64 KB ("Azure
Monitor service limits", Logs Ingestion API). A line may be sent twice: readers tell it by chain and number. It can be
queried some minutes later ("Log data ingestion time in Azure Monitor").
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy
from azure.monitor.query import LogsQueryResult
from azure.monitor.query.aio import LogsQueryClient

from shared.cloud.arm_write import answered
from shared.cloud.clients import Clients, Transport
from shared.cloud.http import Rest
from shared.domain.history import CopiedLine, HistoryEntry, Link
from shared.domain.states import State
from shared.errors import Blocked
from shared.settings import Settings

TABLE = "SasquashHistory_CL"
STREAM = f"Custom-{TABLE}"
REACH = timedelta(days=730)  # the longest interactive retention of a table; infra/modules/history.bicep sets it

_VERSION = "2023-01-01"
_LARGEST = 900_000  # bytes of a call; the service takes 1 MB
LONGEST = 60_000  # bytes of a field; the service cuts at 64 KB
_FINGERPRINT = re.compile(r"[0-9a-f]{0,64}")
_SERVER_TIMEOUT = 60  # seconds that a query may take there
_TIMEOUT = 70.0
_MOST = 100_000  # rows of an answer: a fifth of what the service returns


class TooManyLines(Blocked):
    """The copy has more lines than one query returns: ask for fewer."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A line as the table has it. The columns are those of infra/modules/history.bicep; a test compares them.

    `Record` is the record as it was when the line was copied, as JSON; empty except in the last line of each time.
    """

    Fingerprint: str
    Chain: str
    Line: int
    Previous: str
    Hash: str
    At: str
    Who: str
    State: str
    What: str
    Evidence: str
    CorrelationId: str
    Record: str


@dataclass(frozen=True, slots=True)
class CopiedHistory:
    """The lines of one leak in the copy, in order, and the last record that was sent with one of them, or None."""

    fingerprint: str
    entries: tuple[HistoryEntry, ...]
    record: str | None


def rows_of(fingerprint: str, entries: Iterable[HistoryEntry], *, record: str) -> tuple[Row, ...]:
    """Return the rows of lines that have links. The last one has `record`, left out where it is too long."""
    linked = [entry for entry in entries if entry.link is not None]
    short = record if len(record.encode()) <= LONGEST else ""
    return tuple(_row(fingerprint, entry, record=short if entry is linked[-1] else "") for entry in linked)


class HistoryCopy:
    """Adds lines to the copy, and reads it. All raise TransientFailure or Blocked.

    `rule` is the data collection rule's immutable id, `workspace` the workspace's id (a GUID).
    """

    def __init__(
        self, rest: Rest, client: LogsQueryClient, *, rule: str, workspace: str, clock: Callable[[], datetime]
    ) -> None:
        self._rest = rest
        self._client = client
        self._rule = rule
        self._workspace = workspace
        self._clock = clock

    async def send(self, rows: Sequence[Row]) -> None:
        """Add rows, in as many calls as they take. Some may be added where it raises: twice is once."""
        for body in _bodies(rows):
            await self._rest.content(
                "POST",
                f"/dataCollectionRules/{self._rule}/streams/{STREAM}",
                doing="Copying lines of the history",
                right="the role Monitoring Metrics Publisher on the data collection rule",
                query={"api-version": _VERSION},
                content=body,
            )

    async def lines(self, *, after: str, through: str) -> Mapping[str, tuple[CopiedLine, ...]]:
        """Return the lines of each leak whose fingerprint is greater than `after`, up to `through`."""
        kql = (
            f"{TABLE} | where strcmp(Fingerprint, '{_checked(after)}') > 0"
            f" and strcmp(Fingerprint, '{_checked(through)}') <= 0"
            f" | distinct Fingerprint, Chain, Line, Hash | take {_MOST + 1}"
        )
        found: dict[str, list[CopiedLine]] = defaultdict(list)
        for row in await self._rows(kql):
            line = CopiedLine(str(row["Chain"]), _number(row["Line"]), str(row["Hash"]))
            found[str(row["Fingerprint"])].append(line)
        return {fingerprint: tuple(lines) for fingerprint, lines in found.items()}

    async def lines_of(self, fingerprint: str) -> tuple[CopiedLine, ...]:
        """Return the lines of one leak."""
        kql = (
            f"{TABLE} | where Fingerprint == '{_checked(fingerprint)}'"
            f" | distinct Fingerprint, Chain, Line, Hash | take {_MOST + 1}"
        )
        rows = await self._rows(kql)
        return tuple(CopiedLine(str(row["Chain"]), _number(row["Line"]), str(row["Hash"])) for row in rows)

    async def histories(self, prefix: str) -> tuple[CopiedHistory, ...]:
        """Return the history and the last record of each leak whose fingerprint begins with `prefix`.

        Raises TooManyLines, too.
        """
        where = f"{TABLE} | where Fingerprint startswith_cs '{_checked(prefix)}'"
        line = "Previous, At, Who, State, What, Evidence, CorrelationId"
        lines = await self._rows(f"{where} | summarize take_any({line}) by Fingerprint, Chain, Line, Hash")
        records = await self._rows(
            f"{where} | where isnotempty(Record) | summarize arg_max(Line, Record) by Fingerprint, Chain"
        )
        entries: dict[str, list[HistoryEntry]] = defaultdict(list)
        forged: set[str] = set()  # with a line that we did not write: they are not rebuilt
        for row in sorted(lines, key=lambda row: (str(row["Chain"]), _number(row["Line"]))):
            name = str(row["Fingerprint"])
            try:
                entries[name].append(_entry(row))
            except ValueError:
                forged.add(name)
        latest = {
            str(row["Fingerprint"]): str(row["Record"]) for row in sorted(records, key=lambda row: str(row["Chain"]))
        }
        return tuple(
            CopiedHistory(name, tuple(found), None if name in forged else latest.get(name))
            for name, found in sorted(entries.items())
        )

    async def _rows(self, kql: str) -> list[Mapping[str, Any]]:
        now, doing = self._clock(), "Reading the copy of the history"
        async with answered(doing, within=_TIMEOUT):
            result = await self._client.query_workspace(
                self._workspace, kql, timespan=(now - REACH, now + timedelta(days=1)), server_timeout=_SERVER_TIMEOUT
            )
        if not isinstance(result, LogsQueryResult):
            raise TooManyLines(f"{doing} failed: it returned a partial result only.")
        [table] = result.tables
        if len(table.rows) > _MOST:
            raise TooManyLines(
                f"{doing} failed: it has more than {_MOST} lines of one range. Find out who wrote them."
            )
        return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def made(
    settings: Settings, clients: Clients, transport: Callable[[], Transport], *, clock: Callable[[], datetime]
) -> HistoryCopy | None:
    """Return the copy that the settings name, None where they name none."""
    endpoint, rule, workspace = settings.history_endpoint, settings.history_rule, settings.history_workspace
    if endpoint is None or rule is None or workspace is None:
        return None
    bearer = AsyncBearerTokenCredentialPolicy(clients.credential, f"{settings.cloud.monitor}/.default")
    rest = Rest(endpoint, transport(), authentication=bearer)
    return HistoryCopy(rest, clients.logs, rule=rule, workspace=workspace, clock=clock)


def _row(fingerprint: str, entry: HistoryEntry, *, record: str) -> Row:
    link = entry.link
    if link is None:
        raise ValueError("only lines with a link are copied")
    return Row(
        Fingerprint=fingerprint,
        Chain=link.chain,
        Line=link.line,
        Previous=link.previous,
        Hash=link.sha256,
        At=f"{entry.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        Who=entry.who,
        State=entry.state.value,
        What=entry.what,
        Evidence=entry.evidence,
        CorrelationId=entry.correlation_id or "",
        Record=record,
    )


def _number(value: object) -> int:
    """Return the number of a line; 0, which no line of ours has, where there is none: it is forged."""
    return value if isinstance(value, int) else 0


def _entry(row: Mapping[str, Any]) -> HistoryEntry:
    """Return the line of a row. Raises ValueError for one that we did not write."""
    at, line = row["At"], _number(row["Line"])
    moment = at if isinstance(at, datetime) else datetime.fromisoformat(str(at))
    if moment.tzinfo is None or line < 1:
        raise ValueError("no line of ours")
    return HistoryEntry(
        at=moment.astimezone(UTC),
        who=str(row["Who"]),
        state=State(str(row["State"])),
        what=str(row["What"] or ""),
        evidence=str(row["Evidence"] or ""),
        correlation_id=str(row["CorrelationId"]) if row["CorrelationId"] else None,
        link=Link(str(row["Chain"]), line, str(row["Previous"] or ""), str(row["Hash"])),
    )


def _bodies(rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield the bodies of calls, each an array of rows that fits."""
    parts: list[bytes] = []
    size = 2
    for row in rows:
        part = msgspec.json.encode(row)
        if parts and size + len(part) + 1 > _LARGEST:
            yield b"[" + b",".join(parts) + b"]"
            parts, size = [], 2
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield b"[" + b",".join(parts) + b"]"


def _checked(text: str) -> str:
    """Return a fingerprint, or the beginning of one. Raises ValueError for anything else."""
    if not _FINGERPRINT.fullmatch(text):
        raise ValueError("a fingerprint is 64 hex digits; nothing else goes into a query")
    return text
