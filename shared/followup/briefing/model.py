"""What people read about one revocation: the only input of mail and incident."""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.revocation import Owner
from shared.domain.target import ActionKind
from shared.domain.text import Line


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """Something that happened, in the past tense: "key2 regenerated". `at` knows its time zone."""

    at: datetime
    what: str


@dataclass(frozen=True, slots=True)
class GroupSize:
    """How many unconfirmed findings an incident is about, and how many of them are still open."""

    total: int
    still_open: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Briefing:
    """Everything that people need to know. It holds no credential. Moments know their time zone.

    `state` and `reason` are as in the ledger ("proven", "no_key_matches"); all other text is English. Any of it may
    quote text from outside; commands are `Code`, in `next_steps` and `open_points` only.
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
    action: ActionKind | None  # what ran, or would run
    target: str | None  # of the action
    ordered: bool  # a responder ordered it: no leak is known
    expires: datetime | None
    source: str
    reported_by: str | None  # the responder who reported or ordered it, by name
    reported_because: str  # the reason they gave
    found_at_url: str | None
    detected_at: datetime
    received_at: datetime
    done: str  # what Sasquash did
    proven: str  # what is verified and how, or why it is not
    used: tuple[str, ...]  # use according to the logs, one English sentence each; empty: not checked yet
    impact: tuple[str, ...]  # affected consumers
    open_points: tuple[Line, ...]
    next_steps: tuple[Line, ...]
    deadline: datetime | None  # of an approval
    timeline: tuple[TimelineEntry, ...]
    owners: tuple[Owner, ...]
    waits_for: str = ""  # how many approvers are missing, as sentences; empty where one is enough
    reported_again_at: datetime | None = None  # after an approver had rejected it
    group: GroupSize | None = None  # it is about several findings; account and severity are those of the worst
