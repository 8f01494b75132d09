"""What a person is told about one revocation: the one input of the mail and of the incident."""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.revocation import Owner
from shared.domain.target import ActionKind


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """Something that happened, in the past tense: "key2 regenerated". `at` knows its time zone."""

    at: datetime
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Briefing:
    """Everything worth telling; nothing in it is usable as a credential. Moments know their time zone.

    `state` and `reason` are as in the ledger ("proven", "no_key_matches"); all other text is English. In
    `next_steps`, `breaks`, `open_points` and `notes` a command stands between backticks.
    """

    fingerprint: str  # 64 hex digits
    c3id: str
    state: str
    reason: str | None
    kind: str  # "account SAS"
    severity: str  # "high"
    grants: str  # one sentence: what the credential allowed
    notes: tuple[str, ...]
    risk_reasons: tuple[str, ...]
    account: str | None
    account_id: str | None  # ARM id
    host: str | None
    key_name: str | None
    policy: str | None
    action: ActionKind | None  # what was pulled, or would be
    target: str | None  # of the lever
    ordered: bool  # a responder ordered it: nothing leaked that we know of
    expires: datetime | None
    source: str
    reported_by: str | None  # the responder who reported or ordered it, by name
    reported_because: str  # what they said
    found_at_url: str | None
    detected_at: datetime
    received_at: datetime
    done: str  # what Sasquash did
    proven: str  # what is proven and how, or why it is not
    used: tuple[str, ...]  # what the logs tell of the leak's use, one English sentence each; empty: not asked yet
    impact: tuple[str, ...]  # what stops working now, or would
    open_points: tuple[str, ...]
    next_steps: tuple[str, ...]
    deadline: datetime | None  # of an approval
    timeline: tuple[TimelineEntry, ...]
    owners: tuple[Owner, ...]
