"""The table service in memory: tables, entities, queries, entity group transactions.

Source: REST, "Operations on tables", "Operations on entities", "Performing entity group transactions", "Table service
error codes".
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from local.memory import batches, odata
from local.memory.errors import ServiceError, not_modeled
from local.memory.exchange import Answer, Request

_ENTITY = re.compile(
    r"/(?P<table>[A-Za-z][A-Za-z0-9]{2,62})\(PartitionKey='(?P<partition>.*)',\s*RowKey='(?P<row>.*)'\)"
)
_ROWS = re.compile(r"/(?P<table>[A-Za-z][A-Za-z0-9]{2,62})(?:\(\))?")
_TABLE = re.compile(r"/Tables\('(?P<table>[^']+)'\)")
_PAGE = 1000
_LONGEST_TEXT = 32 * 1024  # characters, as UTF-16 in 64 KiB
_JSON = {"content-type": "application/json;odata=minimalmetadata;streaming=true;charset=utf-8"}
_KEYS = ("PartitionKey", "RowKey")


@dataclass(frozen=True, slots=True)
class Entity:
    """A row as written. `properties` has types that JSON lacks as "<name>@odata.type"."""

    properties: Mapping[str, Any]
    etag: str
    timestamp: str

    def document(self) -> dict[str, Any]:
        """Return the row as in the result of a query."""
        return {"odata.etag": self.etag, **self.properties, "Timestamp": self.timestamp}


type Rows = dict[str, dict[str, Entity]]
"""A table's entities by partition and row."""


class Tables:
    """The tables of one account."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._writes = 0
        self.tables: dict[str, Rows] = {}

    def answer(self, request: Request) -> Answer:
        """Answer a request. Raises ServiceError."""
        path = unquote(request.path)
        if path == "/$batch":
            return self._batch(request)
        if path.startswith("/Tables"):
            return self._on_tables(request, path)
        entity = _ENTITY.fullmatch(path)
        if entity is not None:
            rows = self._rows(entity["table"])
            keys = tuple(entity[name].replace("''", "'") for name in ("partition", "row"))
            return self._on_entity(request, rows, keys[0], keys[1])
        match = _ROWS.fullmatch(path)
        if match is None:
            raise not_modeled(f"{request.method} on this path of the table service")
        if request.method == "POST":
            return self._insert(request, match["table"], self._rows(match["table"]))
        if request.method == "GET":
            return self._query(request, self._rows(match["table"]))
        raise not_modeled(f"{request.method} on a table")

    def create(self, name: str) -> None:
        """Create a table if it does not exist."""
        self.tables.setdefault(name, {})

    def _rows(self, name: str) -> Rows:
        found = self.tables.get(name)
        if found is None:
            raise ServiceError(404, "TableNotFound", "The table specified does not exist.")
        return found

    def _on_tables(self, request: Request, path: str) -> Answer:
        if request.method == "POST" and path == "/Tables":
            name = json.loads(request.body)["TableName"]
            if name in self.tables:
                raise ServiceError(409, "TableAlreadyExists", "The table specified already exists.")
            self.tables[name] = {}
            return Answer(201, _JSON, json.dumps({"TableName": name}).encode())
        match = _TABLE.fullmatch(path)
        if request.method == "DELETE" and match is not None:
            self._rows(match["table"])
            del self.tables[match["table"]]
            return Answer(204)
        if request.method == "GET" and path in ("/Tables", "/Tables()"):
            names = [{"TableName": name} for name in sorted(self.tables)]
            return Answer(200, _JSON, json.dumps({"value": names}).encode())
        raise not_modeled(f"{request.method} on tables")

    def _written(self, document: Mapping[str, Any], partition: str, row: str) -> Entity:
        self._writes += 1
        at = f"{self._now():%Y-%m-%dT%H:%M:%S.%f}0Z"
        for name, value in document.items():
            if isinstance(value, str) and len(value) > _LONGEST_TEXT:
                raise ServiceError(400, "PropertyValueTooLarge", f"The property {name} exceeds 64 KB.")
        properties = {k: v for k, v in document.items() if v is not None and k not in ("Timestamp", "odata.etag")}
        stamp = quote(f"{at}-{self._writes}", safe="")
        return Entity(properties | {"PartitionKey": partition, "RowKey": row}, f"W/\"datetime'{stamp}'\"", at)

    def _insert(self, request: Request, table: str, rows: Rows) -> Answer:
        document = json.loads(request.body)
        partition, row = (document.get(name) for name in _KEYS)
        if not isinstance(partition, str) or not isinstance(row, str):
            raise ServiceError(400, "PropertiesNeedValue", "The values are not specified for all properties.")
        held = rows.setdefault(partition, {})
        if row in held:
            raise ServiceError(409, "EntityAlreadyExists", "The specified entity already exists.")
        entity = held[row] = self._written(document, partition, row)
        headers = {"etag": entity.etag, "dataserviceid": table}
        if request.headers.get("prefer") == "return-no-content":
            return Answer(204, headers | {"preference-applied": "return-no-content"})
        return Answer(201, _JSON | headers, json.dumps(entity.document()).encode())

    def _on_entity(self, request: Request, rows: Rows, partition: str, row: str) -> Answer:
        held = rows.get(partition, {}).get(row)
        if request.method == "GET":
            if held is None:
                raise _no_entity()
            return Answer(200, _JSON | {"etag": held.etag}, json.dumps(held.document()).encode())
        match = request.headers.get("if-match")
        if request.method == "DELETE":
            if match is None:
                raise ServiceError(400, "MissingRequiredHeader", "A DELETE needs If-Match.")
            self._guard(held, match)
            del rows[partition][row]
            return Answer(204)
        if request.method not in ("PUT", "PATCH", "MERGE"):
            raise not_modeled(f"{request.method} on an entity")
        if match is not None:
            self._guard(held, match)
        document = json.loads(request.body)
        if request.method != "PUT" and held is not None:
            document = {**held.properties, **document}
        entity = self._written(document, partition, row)
        rows.setdefault(partition, {})[row] = entity
        return Answer(204, {"etag": entity.etag})

    @staticmethod
    def _guard(held: Entity | None, match: str) -> None:
        if held is None:
            raise _no_entity()
        if match not in ("*", held.etag):
            raise ServiceError(
                412, "UpdateConditionNotSatisfied", "The update condition specified in the request was not satisfied."
            )

    def _query(self, request: Request, rows: Rows) -> Answer:
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        unknown = set(query) - {"$filter", "$top", "$select", "NextPartitionKey", "NextRowKey"}
        if unknown:
            raise not_modeled(f"the query option {min(unknown)}")
        text = query.get("$filter", "")
        test = odata.parse(text) if text else None
        top = min(int(query.get("$top", _PAGE)), _PAGE)
        after = (_decoded(query.get("NextPartitionKey")), _decoded(query.get("NextRowKey")))
        found: list[Entity] = []
        headers = dict(_JSON)
        for partition, row, entity in _in_order(rows, odata.partition_of(text), after):
            if test is not None and not test({**entity.properties, "Timestamp": entity.timestamp}):
                continue
            if len(found) == top:
                headers["x-ms-continuation-nextpartitionkey"] = _encoded(partition)
                headers["x-ms-continuation-nextrowkey"] = _encoded(row)
                break
            found.append(entity)
        selected = query["$select"].split(",") if query.get("$select") else None
        documents = [_selected(entity.document(), selected) for entity in found]
        return Answer(200, headers, json.dumps({"value": documents}).encode())

    def _batch(self, request: Request) -> Answer:
        """Execute a change set, all or nothing. The error has the number of the first refused change."""
        changes = batches.read(request)
        kept = {name: {p: dict(held) for p, held in rows.items()} for name, rows in self.tables.items()}
        answers: list[Answer] = []
        seen: set[tuple[str, str]] = set()
        for number, change in enumerate(changes):
            try:
                _require_one_partition(seen, _key_of(change))
                answers.append(self.answer(change))
            except ServiceError as error:
                self.tables = kept
                numbered = ServiceError(error.status, error.code, f"{number}:{error.message}")
                return batches.render([numbered.answer("table")])
        return batches.render(answers)


def _in_order(
    rows: Rows, partition: str | None, after: tuple[str | None, str | None]
) -> Iterator[tuple[str, str, Entity]]:
    wanted = [partition] if partition is not None else sorted(rows)
    for name in wanted:
        if after[0] is not None and name < after[0]:
            continue
        held = rows.get(name, {})
        for row in sorted(held):
            if name == after[0] and after[1] is not None and row < after[1]:
                continue
            yield name, row, held[row]


def _selected(document: dict[str, Any], names: list[str] | None) -> dict[str, Any]:
    if names is None:
        return document
    kept = {"odata.etag", *names, *(f"{name}@odata.type" for name in names)}
    return {name: value for name, value in document.items() if name in kept}


def _key_of(change: Request) -> tuple[str, str]:
    match = _ENTITY.fullmatch(unquote(change.path))
    if match is not None:
        return match["partition"].replace("''", "'"), match["row"].replace("''", "'")
    document = json.loads(change.body)
    return document["PartitionKey"], document["RowKey"]


def _require_one_partition(seen: set[tuple[str, str]], key: tuple[str, str]) -> None:
    """Add the keys of a change. Raises ServiceError for a row that occurs twice, or another partition."""
    if key in seen:
        raise ServiceError(400, "InvalidDuplicateRow", "A row may be in a batch once.")
    if seen and key[0] != next(iter(seen))[0]:
        raise ServiceError(400, "CommandsInBatchActOnDifferentPartitions", "A batch changes one partition.")
    seen.add(key)


def _encoded(key: str) -> str:
    """Return a key for a continuation token, which is opaque to clients."""
    return f"1!{key.encode().hex()}"


def _decoded(token: str | None) -> str | None:
    if token is None:
        return None
    try:
        return bytes.fromhex(token.removeprefix("1!")).decode()
    except ValueError:
        raise ServiceError(400, "InvalidInput", "The continuation token is not one that was handed out.") from None


def _no_entity() -> ServiceError:
    return ServiceError(404, "ResourceNotFound", "The specified resource does not exist.")
