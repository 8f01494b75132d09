"""The JSON that the API returns for records. Nothing in it can be used as a credential.

docs/openapi.yaml has the schemas of these Structs: `make openapi` writes them, and a test compares the two.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from shared.domain.alert import AlertSource
from shared.domain.approval import AtDeadline, EvidenceOutcome
from shared.domain.execution import KeyDistributionOutcome, Outcome
from shared.domain.history import Integrity
from shared.domain.named_alerts import MOST_LEFT_OUT
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.sas import Kind, Service, Severity

type Time = Annotated[datetime, Meta(tz=True)]
type AccountName = Annotated[str, Meta(pattern="^[a-z0-9]{3,24}$")]
type Fingerprint = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
type Json = dict[str, Any]
type RecordKind = Literal[
    "account_sas",
    "service_sas",
    "policy_sas",
    "user_delegation_sas",
    "account_key",
    "alert",
    "order",
    "other_service",
    "unreadable_report",
]


class Caller(Struct, frozen=True):
    """A person or an app."""

    name: str
    object_id: Annotated[str, Meta(description="Identifies the caller: two callers may have one name.")]
    is_person: Annotated[
        bool, Meta(description="Whether it is a person: false for an app, and in records of version 0.2.")
    ]


class Alert(Struct, frozen=True):
    """An alert of another tool, and its location there."""

    source: AlertSource
    place: Annotated[str, Meta(description="owner/repository, organization/project/repository, or empty.")]
    alert: Annotated[str, Meta(description="Its number or id.")]


class Sighting(Struct, frozen=True):
    """A later report of the same leak."""

    source: str
    url: str | None
    detected_at: Time
    alert: Alert | None


class ClosedAlert(Struct, frozen=True):
    """An alert that needs no more work, and what was done with it."""

    alert: Alert
    at: Time
    said: str
    closed: Annotated[
        bool,
        Meta(
            description="False: it was left open, because nothing proves that it is about this leak. `said` has why."
        ),
    ]


class Credential(Struct, frozen=True):
    """The credential without its secret."""

    kind: Kind
    host: str | None
    path: str | None
    parameters: Annotated[dict[str, str], Meta(description="The token's parameters, without its signature.")]
    signature_sha256: Fingerprint | UnsetType = UNSET
    key_sha256: Fingerprint | UnsetType = UNSET


class Leak(Struct, frozen=True):
    """The credential without its secret, and what it allows."""

    credential: Credential
    service: Service | None
    resource_kind: str | None
    container: Annotated[str | None, Meta(description="The signed container, share, queue or table.")]
    path: Annotated[str | None, Meta(description="The signed path in it.")]
    other_paths: Annotated[
        int,
        Meta(ge=0, description="How many other paths were reported. `path` is the one that verified, if any did."),
    ]
    policy: Annotated[str | None, Meta(description="The stored access policy's id.")]
    permissions: str | None
    starts: Time | None
    expires: Time | None
    grants: Annotated[str, Meta(description="What it allows its holder to do.")]
    reasons: Annotated[tuple[str, ...], Meta(description="Why it has this severity.")]
    notes: Annotated[tuple[str, ...], Meta(description="Other properties of the credential.")]


class Order(Struct, frozen=True):
    """A containment action that was ordered without a leaked credential."""

    account: AccountName
    action: ActionKind
    target: str


class Evidence(Struct, frozen=True):
    """An alert's description of a token that is not available. An order based on it requires approval."""

    account: AccountName
    key: Annotated[Literal["key1", "key2"], Meta(description="The key that signed it, by the alert.")]
    title: str
    seen_at: Time
    signature_sha256: str | None
    permissions: tuple[str, ...]
    services: tuple[str, ...]
    resource_types: tuple[str, ...]
    addresses: Annotated[str | None, Meta(description="The addresses from which it may be used.")]
    expires: Time | None


class Verdict(Struct, frozen=True):
    """The key that signed the credential, by signature verification."""

    key: Annotated[str | None, Meta(description="key1 or key2.")]
    key_sha256: str | None
    attributed_at: Time | None


class Liveness(Struct, frozen=True):
    """Azure's response to the leaked token itself. Only a user delegation SAS is tested."""

    at: Time
    alive: bool | None
    said: str
    path: Annotated[str | None, Meta(description="The path at which it was tested: the response is of that path.")]


class Plan(Struct, frozen=True):
    """The containment action that was chosen."""

    action: ActionKind
    account_id: str
    target: str
    version: Annotated[str, Meta(description="SHA-256 of the key, or of the policy as it is now; or empty.")]
    reason: str
    steps: Annotated[tuple[str, ...], Meta(description="In order.")]
    impact: Annotated[tuple[str, ...], Meta(description="What stops working.")]
    digest: Annotated[str, Meta(description="Identifies the plan. An approval names it.")]


class Approval(Struct, frozen=True):
    """An approval of the plan."""

    by: Annotated[Caller | None, Meta(description="Null where SASQUASH_AT_DEADLINE approved it.")]
    at: Time
    digest: str
    reason: str


class Rejection(Struct, frozen=True):
    """A rejection of the plan."""

    by: Caller
    at: Time
    reason: str


class EvidenceCheck(Struct, frozen=True):
    """What the services said when Sasquash read the alerts that reports name again."""

    outcome: Annotated[
        EvidenceOutcome,
        Meta(
            description="confirmed: an alert names this account and key; differs: no alert does, or there is no such "
            "alert; unchecked: no alert does so far, and one could not be read."
        ),
    ]
    at: Time
    said: str


class Execution(Struct, frozen=True):
    """The containment action that was run."""

    action: ActionKind
    target: str
    at: Time
    old_sha256: Annotated[str | None, Meta(description="SHA-256 of the former key or policy.")]
    new_sha256: Annotated[str | None, Meta(description="SHA-256 of the key or policy that replaced it.")]
    confirmed_by: Annotated[
        Literal["answer", "listing", "others"],
        Meta(
            description="Azure's answer; a listing where the answer was lost; or `others`: somebody else did it, and "
            "the key or policy is not what it was when the leak was verified."
        ),
    ]
    correlation_id: Annotated[str | None, Meta(description="The correlation id of Azure Resource Manager.")]
    notes: tuple[str, ...]


class Refusal(Struct, frozen=True):
    """Why Azure refused the action, and when it is tried again."""

    cause: Annotated[str, Meta(description="Stays the same from one attempt to the next.")]
    since: Annotated[Time, Meta(description="The first refusal for this cause.")]
    next_at: Annotated[Time | None, Meta(description="The next attempt; null for none.")]


class Verification(Struct, frozen=True):
    """Whether Azure still accepts the credential."""

    outcome: Outcome
    at: Time
    evidence: tuple[str, ...]
    accepted: Annotated[bool, Meta(description="Whether the last token of the old key was accepted.")]


class KeyDistribution(Struct, frozen=True):
    """Whether the new key is in the Key Vault secret that its consumers read."""

    outcome: KeyDistributionOutcome
    at: Time
    said: str
    secret: Annotated[str | None, Meta(description="The Key Vault secret's id, without a version.")]


class LockedDown(Struct, frozen=True):
    """A change that blocks the leak, a lockdown of the account for one, with the properties that it changed."""

    action: ActionKind
    kind: Annotated[str, Meta(description="The target of the action, such as shared_key or a period.")]
    at: Time
    before: Annotated[Json, Meta(description="ARM's properties before the lockdown.")]
    after: Annotated[Json | None, Meta(description="ARM's properties since then, null while they are unknown.")]
    undone_at: Time | None


class Incident(Struct, frozen=True):
    """The incident that was filed, and the state that it shows."""

    item_id: Annotated[str, Meta(description="Its id; of a shared incident, the FindingId by which it is filed.")]
    state: State
    reason: Reason | None
    shared: Annotated[
        bool, Meta(description="Whether all unconfirmed findings of its kind and of that hour share the incident.")
    ]


class UsedObject(Struct, frozen=True):
    """An object that the leaked credential was used on."""

    name: str
    requests: int
    written: int


class UsageClient(Struct, frozen=True):
    """A client in the storage logs."""

    address: str
    agent: Annotated[str, Meta(description="The user agent that it sent.")]
    requests: int


class Usage(Struct, frozen=True):
    """What the storage logs have about the use of the leaked credential."""

    at: Time
    days: Annotated[int, Meta(description="How many days of logs were queried.")]
    unknown: Annotated[str, Meta(description="Why nothing is known; else empty.")]
    requests: int
    served: Annotated[int, Meta(description="Requests that were accepted.")]
    served_after: Annotated[int, Meta(description="Requests that were accepted after the revocation.")]
    writes: int
    deletes: int
    bytes_out: int
    first: Time | None
    last: Time | None
    objects: tuple[UsedObject, ...]
    clients: tuple[UsageClient, ...]
    others: Annotated[
        tuple[UsageClient, ...] | None,
        Meta(description="Other clients of the key that signed the leak; null where they were not queried."),
    ]


class Code(Struct, frozen=True):
    """A command to copy."""

    code: str


class RichText(Struct, frozen=True):
    """A sentence with commands in it. A part that is a string holds no command, whatever it quotes."""

    parts: Annotated[tuple[str | Code, ...], Meta(description="In order, to be read without a space between them.")]


class Owner(Struct, frozen=True):
    """A person to notify."""

    address: str
    name: str | None
    found_by: str


class Notification(Struct, frozen=True):
    """A mail that was sent."""

    state: State
    to: tuple[str, ...]
    at: Time
    reason: Reason | None


class Link(Struct, frozen=True):
    """The place of a line in the chain of a history (docs/security.md has the canonical form that is hashed)."""

    chain: str
    line: Annotated[int, Meta(ge=1)]
    previous: Annotated[str, Meta(description="The hash of the line before; empty for the first one.")]
    sha256: Annotated[str, Meta(description="The hash of this line.")]


class HistoryEntry(Struct, frozen=True):
    """One event in the history of a record."""

    at: Time
    who: Annotated[str, Meta(description="Name and object id of a person or an app, or sasquash.")]
    state: State
    what: str
    evidence: Annotated[str, Meta(description="The reasons of a change of state; else empty.")]
    correlation_id: Annotated[str | None, Meta(description="The change's id in Azure's activity log.")]
    link: Annotated[Link | None, Meta(description="Null in lines of version 0.2.")]


class HistoryCheck(Struct, frozen=True):
    """Whether a history was changed after it was written."""

    at: Time
    integrity: Annotated[
        Integrity,
        Meta(
            description="`intact` every line is chained and in the copy · `broken` a line was changed, removed or "
            "added · `unconfirmed` nothing is wrong, but not every line could be compared"
        ),
    ]
    said: str


class Summary(Struct, frozen=True):
    """A record in a list."""

    id: Fingerprint
    state: State
    reason: Reason | None
    detail: Annotated[str, Meta(description="What led to this state.")]
    kind: Annotated[RecordKind, Meta(description="What leaked; or what the record is about instead.")]
    c3id: Annotated[str | None, Meta(description="Microsoft's cross-company correlating id of the signature or key.")]
    severity: Severity | None
    account: Annotated[str | None, Meta(description="The storage account's name.")]
    action: ActionKind | None
    target: Annotated[str | None, Meta(description="What the action changes, such as key2 or blob/models/partners.")]
    source: Annotated[str, Meta(description="The person or tool that reported it.")]
    received_at: Time
    changed_at: Time
    deadline: Annotated[Time | None, Meta(description="Until when it can be approved.")]


class Revocation(Summary, frozen=True, kw_only=True):
    """Everything that is known of one leak, or of one order."""

    account_id: Annotated[str | None, Meta(description="The storage account's ARM id.")]
    leak: Leak | None
    order: Order | None
    evidence: Evidence | None
    url: Annotated[str | None, Meta(description="Where it was found.")]
    detected_at: Time
    reported_by: Annotated[
        Caller | None, Meta(description="The caller who reported or ordered it; null where it came as an event.")
    ]
    submitted_by: Annotated[
        str | None, Meta(description="Object id of the caller of the intake, who can't approve the plan; else null.")
    ]
    reported_because: Annotated[str, Meta(description="The caller's reason, or empty.")]
    sightings: Annotated[tuple[Sighting, ...], Meta(description="Later reports of the same leak.")]
    alerts: Annotated[
        tuple[Alert, ...],
        Meta(
            description="Alerts that reports named. Once it is revoked, those are closed that prove to be about it."
        ),
    ]
    closed_alerts: tuple[ClosedAlert, ...]
    alerts_left_out: Annotated[
        int,
        Meta(
            ge=0,
            description=(
                f"How many more alerts reports named than there were places for; at {MOST_LEFT_OUT}, perhaps more. "
                "They are left open, unless a later report names them when a place is free."
            ),
        ),
    ]
    verdict: Verdict
    liveness: Liveness | None
    decided_by: Annotated[str, Meta(description="The mode or rule that decided.")]
    plan: Plan | None
    at_deadline: Annotated[
        AtDeadline | None,
        Meta(
            description=(
                "What happens to the plan if it is not decided on by the deadline, by the stricter of the settings "
                "at its request and now; else null."
            )
        ),
    ]
    approvers_required: Annotated[
        int | None,
        Meta(description="How many approvers the plan requires in all; null where it does not wait for one."),
    ]
    rejecters_required: Annotated[
        int | None,
        Meta(description="How many approvers it takes to reject the plan; null where it can't be rejected."),
    ]
    first_approval: Annotated[
        Approval | None,
        Meta(description="The first of two approvals. It is kept as long as the plan's digest stays the same."),
    ]
    approval: Annotated[Approval | None, Meta(description="The approval with which there were enough.")]
    rejections: tuple[Rejection, ...]
    evidence_check: Annotated[
        EvidenceCheck | None, Meta(description="Null before it, and where there is no evidence.")
    ]
    reported_again_at: Annotated[
        Time | None, Meta(description="When people were last to be notified that a rejected leak was reported again.")
    ]
    refusal: Annotated[Refusal | None, Meta(description="Where the state is failed (blocked); else null.")]
    execution: Execution | None
    verification: Verification | None
    key_distribution: KeyDistribution | None
    lockdown: LockedDown | None
    incident: Incident | None
    usage: Annotated[Usage | None, Meta(description="Null until the storage logs were queried.")]
    remains: Annotated[
        tuple[RichText, ...] | None,
        Meta(description="Exposure that remains after the revocation; null until checked."),
    ]
    changed_by: Annotated[
        RichText | None,
        Meta(description="Who revoked it by hand, or put its policy back, by Azure's logs; null where nobody did."),
    ]
    owners: Annotated[tuple[Owner, ...] | None, Meta(description="People to notify; null until looked up.")]
    owners_rejected: Annotated[tuple[str, ...], Meta(description="People who are not notified, and why.")]
    notifications: tuple[Notification, ...]
    history: Annotated[
        tuple[HistoryEntry, ...] | UnsetType,
        Meta(description="Oldest first. Only where a single record is read."),
    ] = UNSET
    history_check: Annotated[
        HistoryCheck | UnsetType | None,
        Meta(description="The last check of the history; null before the first. Only where a single record is read."),
    ] = UNSET


class Revocations(Struct, frozen=True):
    """Records in full."""

    revocations: Annotated[tuple[Revocation, ...], Meta(min_length=1)]


class Page(Struct, frozen=True):
    """Some records."""

    revocations: tuple[Summary, ...]
    next: Annotated[str | None, Meta(description="Where the next page begins; null on the last one.")]
    unreadable: Annotated[
        tuple[Annotated[str, Meta(pattern="^[0-9a-f]{64}$")], ...],
        Meta(
            description="The ids of this page's records that this version of Sasquash can't read. They are kept as "
            "they are; docs/operations.md, 'Rolling back', says what to do."
        ),
    ] = ()
