"""The errors of Sasquash. Each message says what happened, to what, and what to do. No message holds a secret.

    SasquashError
    ├── SettingsError          a setting is missing or malformed: the app does not start
    ├── MalformedEvent         an event that is not a finding of ours
    ├── TransientFailure       a remote call failed; try it again
    │   ├── Throttled          429: refused for now, nothing was done
    │   │   └── WritesThrottled    Azure Resource Manager accepts no more writes for now
    │   └── StorageRefused     Sasquash's own storage refuses: that says nothing about a leak
    ├── Blocked                a service refuses: it may pass, or a person has to change something
    │   ├── StillListed        Azure Resource Graph lists an account that ARM does not find
    │   ├── AnswerTooLarge     the answer of a call is larger than is read
    │   └── NotFound           the resource of the call does not exist
    │       └── AccountGone    the storage account does not exist
    ├── AccountBusy            another process holds the account's lock
    ├── Conflict               a record changed since it was read
    ├── UnreadableRow          this version can't read a row of Sasquash's own tables
    ├── InvalidRequest         a responder's request is malformed or can't be done
    ├── FindingTooLarge        a finding is larger than an event may be
    ├── NoSuchSource           the intake has no such source
    ├── QuotaExceeded          a source sends more reports than its quota
    ├── Unauthenticated        an access token or a report's signature is missing or invalid
    ├── NotPermitted           the caller lacks a role, or a second person is required
    │   └── NotAPerson         an application decides what only a person may decide
    ├── NoSuchRecord           there is no revocation with this id
    └── WrongState             the record's state or plan does not allow it

Callers ask three questions: can the call be repeated, may it have had an effect, does it require a person.
`cloud.errors` translates Azure's exceptions to these.
"""


class SasquashError(Exception):
    """Base class. `code` is stable: problem details and log lines carry it.

    `retry_after` is the time to wait before the next attempt, in seconds; None if unknown.
    """

    code = "error"
    retry_after: float | None = None


class SettingsError(SasquashError):
    """A setting is missing or malformed. The app does not start."""

    code = "settings"


class MalformedEvent(SasquashError):
    """An event is not a valid finding. The message names the field and the rule, never the value."""

    code = "malformed_event"


class TransientFailure(SasquashError):
    """A remote call failed, and the next attempt may succeed.

    `retry_after` is the service's own value, in seconds. `sent` is False when the request certainly never reached
    the service, so that even a call that is not idempotent can be repeated.
    """

    code = "transient"

    def __init__(self, message: str, *, retry_after: float | None = None, sent: bool = True) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.sent = sent

    @property
    def had_no_effect(self) -> bool:
        """Whether the call certainly changed nothing."""
        return not self.sent


class Throttled(TransientFailure):
    """The service refused the request for now (429). It had no effect."""

    code = "throttled"

    @property
    def had_no_effect(self) -> bool:
        return True


class WritesThrottled(Throttled):
    """Azure Resource Manager accepts no more writes for now: the planned action has to wait."""


class StorageRefused(TransientFailure):
    """Sasquash's own tables, queues or blobs refuse a request until a person changes something.

    It is transient for every leak: none may be concluded because Sasquash can't write about it.
    """

    code = "storage_refused"


class Blocked(SasquashError):
    """A service refuses: a right is missing, a lock or a policy forbids it, or the state of a resource does.

    It may pass, or a person has to change something. `cause` says why in words that stay the same from one attempt to
    the next; `is_lasting`: it certainly needs a person.
    """

    code = "blocked"

    def __init__(self, message: str, *, cause: str = "", is_lasting: bool = False) -> None:
        super().__init__(message)
        self.cause = cause or message
        self.is_lasting = is_lasting


class StillListed(Blocked):
    """Azure Resource Graph lists an account that ARM does not find: it was just deleted, or one of them is wrong."""

    code = "account_still_listed"


class AnswerTooLarge(Blocked):
    """The answer of a call is larger than is read."""

    code = "answer_too_large"


class NotFound(Blocked):
    """The resource of the call does not exist."""

    code = "not_found"


class AccountGone(NotFound):
    """The storage account no longer exists."""

    code = "account_gone"


class AccountBusy(SasquashError):
    """Another process holds the account's lock. Try again after `retry_after` seconds."""

    code = "busy"
    retry_after: float

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Conflict(SasquashError):
    """A record changed since it was read. Read it again and decide again."""

    code = "conflict"


class UnreadableRow(SasquashError):
    """A row of Sasquash's own tables can't be read by this version. It is kept as it is.

    `table`, `partition` and `key` name it. `is_newer`: it says itself that a newer version wrote it. The message
    quotes nothing of the row.
    """

    code = "unreadable_row"

    def __init__(self, message: str, *, table: str, partition: str, key: str, is_newer: bool) -> None:
        super().__init__(message)
        self.table = table
        self.partition = partition
        self.key = key
        self.is_newer = is_newer


class InvalidRequest(SasquashError):
    """A responder's request is malformed or can't be done. The message names the field and the rule, no value."""

    code = "invalid_request"


class FindingTooLarge(SasquashError):
    """A finding is larger than an event may be (`domain.event_size`). It will never be published."""

    code = "finding_too_large"


class NoSuchSource(SasquashError):
    """The intake has no source of this name, or no setting to authenticate its reports."""

    code = "no_such_source"


class QuotaExceeded(SasquashError):
    """A source exceeds its quota of reports. Send the report again after `retry_after` seconds."""

    code = "over_quota"
    retry_after: float

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unauthenticated(SasquashError):
    """A caller's access token, or a report's signature, is missing or invalid."""

    code = "unauthenticated"


class NotPermitted(SasquashError):
    """The caller is authenticated but not permitted: a role is missing, or a second person is required."""

    code = "not_permitted"


class NotAPerson(NotPermitted):
    """The access token is an application's: only a person may decide this. Sign in as a user with the role."""

    code = "not_a_person"


class NoSuchRecord(SasquashError):
    """There is no revocation with this id."""

    code = "no_such_record"


class WrongState(SasquashError):
    """The record's state does not allow this, or the plan changed since it was shown."""

    code = "wrong_state"
