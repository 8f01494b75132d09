"""The states of a revocation, and the reasons for those without one. docs/design.md explains each."""

from enum import StrEnum


class State(StrEnum):
    """The state of a revocation; docs/design.md explains each."""

    RECEIVED = "received"
    OBSERVED = "observed"
    AWAITING_APPROVAL = "awaiting_approval"
    CONTAINED = "contained"
    PROVEN = "proven"
    CLOSED = "closed"
    DISMISSED = "dismissed"
    UNRESOLVED = "unresolved"
    FAILED = "failed"


class Reason(StrEnum):
    """Why a record ended without a revocation, or was revived; each belongs to one state (`STATE_OF`)."""

    EXPIRED = "expired"
    COVERED = "covered"
    DUPLICATE = "duplicate"  # the same secret has another record, which decides
    NOT_OURS = "not_ours"  # certain: the account is of another tenant
    NOT_COVERED = "not_covered"  # an account of ours or of an unknown tenant, in no monitored subscription
    INVALID = "invalid"
    NO_KEY_MATCHES = "no_key_matches"
    REJECTED = "rejected"
    UNKNOWN_VERSION = "unknown_version"
    PATH_LOST = "path_lost"
    LOOSE = "loose"
    OTHER_SERVICE = "other_service"  # a credential of another Azure service, which Sasquash does not revoke
    MALFORMED = "malformed"  # a report that could not be read
    POLICY_GONE = "policy_gone"  # dormant: re-creating the policy re-enables the token
    POLICY_EXPIRED = "policy_expired"  # dormant: extending the policy re-enables the token
    LOCKDOWN_UNDONE = "lockdown_undone"  # what the lockdown blocked may work again
    OWN_STORAGE = "own_storage"  # the account is Sasquash's own
    UNDECIDED = "undecided"  # no decision on its plan before the deadline
    BLOCKED = "blocked"
    UNDELIVERED = "undelivered"  # Event Grid gave up on the event
    UNREAD = "unread"  # the reported alert can't be read
    CRASHED = "crashed"  # an unexpected error occurred on each attempt
    STILL_ALIVE = "still_alive"  # the action ran, but the credential is still accepted
    TAMPERED = "tampered"  # the histories of records were changed after they were written
    REVIVED = "revived"  # what its execution had ended is valid again: it is decided anew
    IN_EFFECT = "in_effect"  # verified: the action blocks the credential, which is not revoked


STATE_OF = {
    Reason.EXPIRED: State.DISMISSED,
    Reason.COVERED: State.DISMISSED,
    Reason.DUPLICATE: State.DISMISSED,
    Reason.NOT_OURS: State.DISMISSED,
    Reason.INVALID: State.DISMISSED,
    Reason.REJECTED: State.DISMISSED,
    Reason.NOT_COVERED: State.UNRESOLVED,
    Reason.NO_KEY_MATCHES: State.UNRESOLVED,
    Reason.UNKNOWN_VERSION: State.UNRESOLVED,
    Reason.PATH_LOST: State.UNRESOLVED,
    Reason.LOOSE: State.UNRESOLVED,
    Reason.OTHER_SERVICE: State.UNRESOLVED,
    Reason.MALFORMED: State.UNRESOLVED,
    Reason.POLICY_GONE: State.UNRESOLVED,
    Reason.POLICY_EXPIRED: State.UNRESOLVED,
    Reason.LOCKDOWN_UNDONE: State.UNRESOLVED,
    Reason.OWN_STORAGE: State.UNRESOLVED,
    Reason.UNDECIDED: State.UNRESOLVED,
    Reason.BLOCKED: State.FAILED,
    Reason.UNDELIVERED: State.FAILED,
    Reason.UNREAD: State.FAILED,
    Reason.CRASHED: State.FAILED,
    Reason.STILL_ALIVE: State.FAILED,
    Reason.TAMPERED: State.FAILED,
    Reason.REVIVED: State.RECEIVED,
    Reason.IN_EFFECT: State.CONTAINED,
}

# What the path of a leak decides on: another path may have another result.
OF_THE_PATH = frozenset({Reason.NO_KEY_MATCHES, Reason.PATH_LOST, Reason.UNKNOWN_VERSION})

# A repeated report of one of these is attributed again: a key may be back, or a right granted.
REOPENED_BY_A_NEW_REPORT = frozenset({State.OBSERVED, State.UNRESOLVED, State.FAILED})
