"""A revocation as an entity of table `revocations`, and back.

What leaked, and what others can make long, has a column of its own, since a text column holds 32 K characters.
Fields and columns of a newer version survive a change: the columns since rows are merged, the fields by `as_read`.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from azure.data.tables import TableEntity

from shared.domain.account import AccountFacts, PolicyReading
from shared.domain.approval import Approval, EvidenceCheck, Rejection
from shared.domain.elsewhere import NOWHERE, Elsewhere
from shared.domain.execution import Execution, Liveness, LockedDown, Plan
from shared.domain.finding import Finding
from shared.domain.known_paths import KnownPaths
from shared.domain.named_alerts import NamedAlerts
from shared.domain.revocation import ClosedAlert, ForeignChange, HistoryHead, Notification, Revocation, Sighting
from shared.domain.text import RichText
from shared.domain.usage import Usage
from shared.persistence.rows import new_row
from shared.persistence.unknown_fields import with_unknown

# What of a record has a column of its own, since a text column holds 32 K characters: what leaked, and what others
# can make long, the account's network rules and tags above all.
_APART: dict[str, tuple[str, Any]] = {
    "finding": ("Finding", Finding),
    "account": ("Facts", AccountFacts | None),
    "policy": ("Policy", PolicyReading | None),
    "plan": ("Plan", Plan | None),
    "lockdown": ("Lockdown", LockedDown | None),
    "sightings": ("Sightings", tuple[Sighting, ...]),
    "closed_alerts": ("ClosedAlerts", tuple[ClosedAlert, ...]),
    "named_alerts": ("NamedAlerts", NamedAlerts),
    "usage": ("Usage", Usage | None),
    "remains": ("Remains", tuple[RichText | str, ...] | None),  # version 0.2 wrote texts
    "paths": ("Paths", KnownPaths),
    "elsewhere": ("Elsewhere", Elsewhere),
    "liveness": ("Liveness", Liveness | None),
    "first_approval": ("FirstApproval", Approval | None),
    "rejections": ("Rejections", tuple[Rejection, ...]),
    "evidence_check": ("EvidenceCheck", EvidenceCheck | None),
    "head": ("Head", HistoryHead | None),
    "changed_by": ("ChangedBy", ForeignChange | None),
    "undone": ("Undone", Execution | None),
    "notifications": ("Notifications", tuple[Notification, ...]),
}
# Objects that others take the place of: what a newer version says of one does not hold for the next.
_REPLACED = frozenset(
    {"Facts", "Policy", "Plan", "Usage", "Liveness", "FirstApproval", "EvidenceCheck", "Head", "ChangedBy", "Undone"}
)
# What a snapshot goes without if it is too long, in this order. The history says what is lost.
_EXPENDABLE = (
    *("Usage", "Remains", "Sightings", "ClosedAlerts", "NamedAlerts", "EvidenceCheck", "Liveness"),
    *("ChangedBy", "Undone"),
    *("Policy", "Facts", "Elsewhere", "Paths", "Lockdown", "Notifications"),
)
_NO_FINDING = Finding("", None, "", None, datetime.fromisoformat("2000-01-01T00:00:00+00:00"))


def partition_of(fingerprint: str) -> str:
    """Return the partition of a record and its history."""
    return fingerprint[:2]


def to_entity(revocation: Revocation, now: datetime) -> dict[str, Any]:
    """Return the record as JSON, in several columns, and beside it the columns that people and queries read."""
    finding, as_read = revocation.finding, dict(revocation.as_read)

    def text(column: str, kind: Any, value: object) -> str:
        new = msgspec.json.encode(value)
        if (read := as_read.get(column)) is None:
            return new.decode()
        return with_unknown(new, read=read, kind=kind, replaced=column in _REPLACED)

    return new_row(
        partition_of(revocation.fingerprint),
        revocation.fingerprint,
        State=revocation.state.value,
        Reason=revocation.reason.value if revocation.reason else "",
        Account=revocation.account_name or "",
        Host=(finding.credential.host or "") if finding.credential else "",
        Source=finding.source,
        ReceivedAt=revocation.received_at,
        ChangedAt=now,
        **{column: text(column, kind, getattr(revocation, name)) for name, (column, kind) in _APART.items()},
        Record=text(
            "Record",
            Revocation,
            replace(
                revocation,
                finding=_NO_FINDING,
                account=None,
                policy=None,
                plan=None,
                lockdown=None,
                sightings=(),
                closed_alerts=(),
                named_alerts=NamedAlerts(),
                usage=None,
                remains=None,
                paths=KnownPaths(),
                elsewhere=NOWHERE,
                liveness=None,
                first_approval=None,
                rejections=(),
                evidence_check=None,
                head=None,
                changed_by=None,
                undone=None,
                notifications=(),
                etag="",
                written=None,
                as_read=(),
            ),
        ),
    )


def from_entity(entity: TableEntity) -> Revocation:
    """Return the record that an entity holds. Raises what `rows.reading` translates."""
    record = _from_columns(entity)
    texts = (*(column for column, _ in _APART.values()), "Record")
    as_read = tuple((column, str(entity[column])) for column in texts if column in entity)
    return replace(record, etag=str(entity.metadata["etag"]), written=record.changes[-1], as_read=as_read)


def _from_columns(columns: Mapping[str, str | bytes]) -> Revocation:
    record = msgspec.json.decode(columns["Record"], type=Revocation)
    apart = {
        name: msgspec.json.decode(columns[column], type=type_)
        for name, (column, type_) in _APART.items()
        if column in columns  # what an earlier version wrote has not every column
    }
    if (remains := apart.get("remains")) is not None:
        apart["remains"] = tuple(RichText.of(text) if isinstance(text, str) else text for text in remains)
    return replace(record, **apart)


def finding_in(columns: Mapping[str, str | bytes], *, fingerprint: str) -> Finding | None:
    """Return the finding in a record that can't be read as a whole; None where it can't be read either."""
    try:
        finding = msgspec.json.decode(columns["Finding"], type=Finding)
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError):
        return None
    return finding if finding.fingerprint == fingerprint else None


def snapshot(revocation: Revocation, *, longest: int) -> str:
    """Return the record as one JSON text of at most `longest` bytes, without verification tokens and leases.

    What does not fit is left out; the text is empty if even the leak and the decision do not fit.
    """
    execution = revocation.execution
    bare = replace(
        revocation,
        leases=(),
        execution=replace(execution, verification_tokens=()) if execution is not None else None,
        as_read=(),  # nothing that is not known here: it may be a token, too
    )
    entity = to_entity(bare, bare.received_at)
    names = ("Record", *(column for column, _ in _APART.values()))
    columns = {name: msgspec.Raw(str(entity[name]).encode()) for name in names}
    for name in (None, *_EXPENDABLE):
        columns.pop(name or "", None)
        text = msgspec.json.encode(columns)
        if len(text) <= longest:
            return text.decode()
    return ""


def from_snapshot(text: str) -> Revocation:
    """Return the record that a snapshot holds. Raises msgspec.MsgspecError for any other text."""
    return _from_columns(msgspec.json.decode(text, type=dict[str, msgspec.Raw]))
