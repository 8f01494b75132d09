"""Tables in memory behind the real SDK client, for unit tests of what is stored: no socket, no access check."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables.aio import TableServiceClient

from local.memory.errors import ServiceError
from local.memory.exchange import Answer, Request, Service
from local.memory.tables import Entity, Tables
from local.memory.transport import InProcessTransport
from tests.support.samples import NOW

TABLES = ("revocations", "accounts", "states", "outbox", "digest", "readiness")
_ROWS = Path(__file__).parents[1] / "unit" / "persistence" / "rows"


class Stored:
    """The tables of Sasquash. `now` is the time at which rows are written."""

    def __init__(self, rows: Mapping[str, Sequence[Mapping[str, Any]]] | None = None) -> None:
        self.now = NOW
        self.tables = Tables(lambda: self.now)
        self.client = connected(self._answer)
        for name in TABLES:
            self.tables.create(name)
        for name, held in (rows or {}).items():
            for row in held:
                self.put(name, row)

    async def _answer(self, request: Request) -> Answer:
        try:
            return self.tables.answer(request)
        except ServiceError as error:
            return error.answer("table")

    def put(self, table: str, row: Mapping[str, Any]) -> None:
        """Put a row as it is, with its Timestamp if it has one."""
        written = self.tables._written(row, row["PartitionKey"], row["RowKey"])
        entity = Entity(written.properties, written.etag, row.get("Timestamp", written.timestamp))
        self.tables.tables[table].setdefault(row["PartitionKey"], {})[row["RowKey"]] = entity

    def row(self, table: str, partition: str, key: str) -> dict[str, Any]:
        """Return a row without the types of its columns."""
        held = self.tables.tables[table][partition][key].properties
        return {name: value for name, value in held.items() if not name.endswith("@odata.type")}

    def change(self, table: str, partition: str, key: str, **columns: Any) -> None:
        """Write some columns of a row, which keeps its Timestamp."""
        entity = self.tables.tables[table][partition][key]
        self.put(table, {**entity.properties, **columns, "Timestamp": entity.timestamp})

    def keys(self, table: str, partition: str) -> list[str]:
        """Return the row keys of a partition."""
        return sorted(self.tables.tables[table].get(partition, {}))

    def entities(self, table: str) -> list[dict[str, Any]]:
        """Return all rows of a table."""
        found = self.tables.tables[table]
        return [self.row(table, partition, key) for partition in sorted(found) for key in sorted(found[partition])]


def connected(service: Service) -> TableServiceClient:
    """Return a client whose requests `service` answers. It tries nothing again."""
    return TableServiceClient(
        "https://sasquashstate.table.core.windows.net",
        credential=AzureNamedKeyCredential("sasquashstate", "a2V5"),
        transport=InProcessTransport(service),
        retry_total=0,
    )


def written_by(version: str) -> dict[str, list[dict[str, Any]]]:
    """Return rows of all tables as a version wrote them (`tests/unit/persistence/rows`)."""
    found: dict[str, list[dict[str, Any]]] = json.loads((_ROWS / f"{version}.json").read_text())
    return found
