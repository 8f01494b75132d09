"""The errors of Sasquash. Every message says what happened, to what, and what to do; none holds a secret.

Azure's exceptions become these where a call is made (`cloud.errors`), so that callers decide on three questions
only: can it be retried, may it have happened, does a person have to act.
"""


class SasquashError(Exception):
    """Base of all. `code` is stable: the log lines of failures carry it.

    `retry_after` is in how many seconds it is worth to try again, None where nobody said.
    """

    code = "error"
    retry_after: float | None = None


class SettingsError(SasquashError):
    """A setting is missing or malformed. The app does not start."""

    code = "settings"


class MalformedEvent(SasquashError):
    """An event is not one of ours. The message names the field and the rule, never the value."""

    code = "malformed_event"


class TransientFailure(SasquashError):
    """A remote call failed in a way that passes: try again.

    `retry_after` is what the service asked for, in seconds. `sent` is False when the request certainly never
    reached the service, so that even a call that must not be repeated may be.
    """

    code = "passing"

    def __init__(self, message: str, *, retry_after: float | None = None, sent: bool = True) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.sent = sent

    @property
    def had_no_effect(self) -> bool:
        return not self.sent


class Throttled(TransientFailure):
    """The service refused for now (429) and did nothing."""

    code = "throttled"

    @property
    def had_no_effect(self) -> bool:
        return True


class WritesThrottled(Throttled):
    """Azure Resource Manager takes no more changes for now: a lever that was decided on has to wait."""


class Blocked(SasquashError):
    """Azure refuses, and will go on refusing until a person changes something (a right, a lock, a policy)."""

    code = "blocked"


class NotFound(Blocked):
    """What the call was for is not there."""

    code = "not_found"


class AccountGone(NotFound):
    """ARM no longer has the storage account."""

    code = "account_gone"


class AccountBusy(SasquashError):
    """Another worker holds the account's lock; `retry_after` seconds from now is a good time to look again."""

    code = "busy"
    retry_after: float

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Conflict(SasquashError):
    """A record changed under our hands. Read it again and decide anew."""

    code = "conflict"


class InvalidRequest(SasquashError):
    """A responder's request can't be done as it is. The message names the field and the rule, never the value."""

    code = "invalid_request"


class NoSuchSource(SasquashError):
    """The intake knows no source of this name, or its settings have nothing to know its reports by."""

    code = "no_such_source"


class QuotaExceeded(SasquashError):
    """A source reports more than it may; `retry_after` seconds from now is a good time to send it again."""

    code = "over_quota"
    retry_after: float

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unauthenticated(SasquashError):
    """A caller's access token is missing, or not one that this app may believe; or a report's signature is."""

    code = "unauthenticated"


class NotPermitted(SasquashError):
    """The caller is known and may not do this: the role is missing, or a second person is needed."""

    code = "not_permitted"


class NoSuchRecord(SasquashError):
    """There is no revocation of this id."""

    code = "no_such_record"


class WrongState(SasquashError):
    """The record is not in a state, or the plan no longer the one, in which this can be done."""

    code = "wrong_state"
