"""Rows that another version of the app wrote: without what is new, with what is newer, or of no known form."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.persistence.accounts import Intent, Rotation, waiting_partition
from shared.persistence.revocation_entity import to_entity
from tests.simulation.leaks import PlannedLeak
from tests.simulation.loop import EPOCH

_LONG_AGO = EPOCH - timedelta(days=40)
_BEFORE_THE_KEYS = EPOCH - timedelta(days=500)


class Form(StrEnum):
    """What is different about a row."""

    OLDER = "columns and fields of today are missing"
    NEWER = "it has columns and fields that nobody knows"
    FOREIGN = "it holds a value that nobody can read"


@dataclass(frozen=True)
class OldRow:
    """A row that is there at the start. `fingerprint` is of the record that it is about."""

    table: str
    partition: str
    row: str
    columns: dict[str, Any]
    form: Form
    fingerprint: str


def drawn(rng: random.Random, leaks: Sequence[PlannedLeak]) -> Iterator[OldRow]:
    """Yield rows about the accounts that leak: about another leak, long ago, or about the lock."""
    for kind in rng.sample((_waiting, _lock, _rotation, _record), rng.choice((1, 1, 2))):
        account = rng.choice(leaks)
        form = rng.choice(tuple(Form))
        yield from kind(rng, account, form)


def _earlier(rng: random.Random, leak: PlannedLeak) -> Finding:
    """Return a finding about the same account that is long forgotten."""
    fingerprint = f"{rng.getrandbits(256):064x}"
    return replace(leak.finding, fingerprint=fingerprint, source="an earlier scan", detected_at=_LONG_AGO)


def _waiting(rng: random.Random, leak: PlannedLeak, form: Form) -> Iterator[OldRow]:
    finding = _earlier(rng, leak)
    said = _plain(finding)
    columns = {"Finding": _changed(said, form, enum=("credential", "kind")), "Paths": "[]"}
    if form is Form.OLDER:
        del columns["Paths"]
    name = f"waiting~{finding.fingerprint}"
    yield OldRow("accounts", waiting_partition(finding), name, _more(columns, form), form, finding.fingerprint)


def _lock(rng: random.Random, leak: PlannedLeak, form: Form) -> Iterator[OldRow]:
    """A host of the other version crashed with the lock an hour ago."""
    fingerprint = f"{rng.getrandbits(256):064x}"
    taken = EPOCH - timedelta(hours=1)
    intent = _plain(Intent(f"{rng.getrandbits(64):x}", fingerprint, taken, taken + timedelta(minutes=1)))
    columns = {"Intent": _changed(intent, form, enum=("deadline",))}
    yield OldRow("accounts", leak.account, "lock", _more(columns, form), form, fingerprint)


def _rotation(rng: random.Random, leak: PlannedLeak, form: Form) -> Iterator[OldRow]:
    digest, fingerprint = f"{rng.getrandbits(256):064x}", f"{rng.getrandbits(256):064x}"
    made = Rotation(ActionKind.ACCOUNT_KEY, "key2", _BEFORE_THE_KEYS, fingerprint, digest)
    columns = {"Rotation": _changed(_plain(made), form, enum=("action",))}
    yield OldRow("accounts", leak.account, f"rotation~{digest}", _more(columns, form), form, fingerprint)


def _record(rng: random.Random, leak: PlannedLeak, form: Form) -> Iterator[OldRow]:
    """A record that ended long ago, and that the sweep still checks."""
    ended = Revocation.of(_earlier(rng, leak), now=_LONG_AGO).end(Reason.EXPIRED, now=_LONG_AGO, detail="It expired.")
    entity = to_entity(ended, _LONG_AGO)
    columns = {
        name: _changed(json.loads(str(value)), form, enum=("state",)) if name == "Record" else value
        for name, value in entity.items()
        if name not in ("PartitionKey", "RowKey") and isinstance(value, str)
    }
    if form is Form.OLDER:
        for name in ("Notifications", "EvidenceCheck", "FirstApproval", "Rejections", "Head", "Paths"):
            del columns[name]
    fingerprint = ended.fingerprint
    key = _index_key(fingerprint)
    yield OldRow("revocations", fingerprint[:2], fingerprint, _more(columns, form), form, fingerprint)
    yield OldRow(
        "states", State.DISMISSED.value, key, {"Account": leak.account, "Reason": "expired"}, form, fingerprint
    )
    due = {"DueAt@odata.type": "Edm.DateTime", "DueAt": f"{_LONG_AGO:%Y-%m-%dT%H:%M:%S}Z", "Sweeps": 3}
    yield OldRow("states", "open", fingerprint, due, form, fingerprint)


def _index_key(fingerprint: str) -> str:
    """Return the key of an index row: the time runs backwards from the year 2200."""
    left = (datetime(2200, 1, 1, tzinfo=UTC) - _LONG_AGO) // timedelta(microseconds=1)
    return f"{left:020}~{fingerprint}"


def _plain(value: object) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(msgspec.json.encode(value))
    return plain


def _changed(said: dict[str, Any], form: Form, *, enum: tuple[str, ...]) -> str:
    """Return the JSON of a column as a version of that form writes it. `enum` is where a value of a later one is."""
    changed = json.loads(json.dumps(said))
    match form:
        case Form.OLDER:
            empty = [name for name, value in changed.items() if value in (None, [], {}, "", 0, False)]
            for name in empty:
                del changed[name]
        case Form.NEWER:
            changed["colour"] = {"of": ["a later version"]}
        case Form.FOREIGN:
            *path, last = enum
            place = changed
            for name in path:
                place = place[name]
            place[last] = "of a later version"
    return json.dumps(changed)


def _more(columns: dict[str, Any], form: Form) -> dict[str, Any]:
    return columns | {"Colour": "of a later version"} if form is Form.NEWER else columns
