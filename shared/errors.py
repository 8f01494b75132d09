"""The errors of Sasquash. Every message says what happened, to what, and what to do; none holds a secret.

Azure's exceptions are turned into these where a call is made (`from_azure`), so that the paths above decide on
three questions only: may it be tried again, has it perhaps happened, must a person look.
"""

from collections.abc import Mapping

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
)

from shared.redaction import redact

# 409s of the storage resource provider that pass, and that say that nothing was done.
_REFUSED_FOR_NOW = frozenset(
    {"StorageAccountOperationInProgress", "OperationInProgress", "AnotherOperationInProgress"}
)
# What Azure Resource Manager refuses with until somebody changes something, and what that is ("Troubleshoot common
# Azure deployment errors").
_A_PERSON_HELPS = {
    "ScopeLocked": "a ReadOnly lock forbids it. Remove the lock (az lock list / az lock delete).",
    "RequestDisallowedByPolicy": "an Azure Policy denies it. Have its owner exempt the account "
    "(az policy exemption create).",
    "DenyAssignmentAuthorizationFailed": "a deny assignment of a managed application or a deployment stack forbids "
    "it. Have its owner do it.",
    "ReadOnlyDisabledSubscription": "the subscription is disabled and read-only. Enable it again.",
}
_PASSING_STATUS = frozenset({408, 429, 500, 502, 503, 504})


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


class PassingFailure(SasquashError):
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
    def certainly_nothing_happened(self) -> bool:
        return not self.sent


class Throttled(PassingFailure):
    """The service refused for now (429) and did nothing."""

    code = "throttled"

    @property
    def certainly_nothing_happened(self) -> bool:
        return True


class NoMoreChanges(Throttled):
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


class Busy(SasquashError):
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


class OverQuota(SasquashError):
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


def from_azure(error: AzureError, *, doing: str) -> SasquashError:
    """Return what `error` means. `doing` completes "… failed", e.g. "listing the keys of contosodata"."""
    if isinstance(error, HttpResponseError) and error.status_code is not None:
        code = error.error.code if error.error is not None else None
        headers: Mapping[str, str] = getattr(error.response, "headers", {})  # absent from azure-core's own protocol
        return from_status(error.status_code, code, doing=doing, retry_after=retry_after(headers))
    if isinstance(error, ClientAuthenticationError):
        return PassingFailure(
            f"{doing} failed: no token for the app's identity. If this stays, check SASQUASH_CLIENT_ID "
            "and that the identity is assigned to the app.",
            sent=False,
        )
    return PassingFailure(f"{doing} failed: no answer ({type(error).__name__}).", sent=not _never_left(error))


def _never_left(error: AzureError) -> bool:
    """Whether the request certainly did not reach the service: there was no connection to send it on.

    azure-core's aiohttp transport raises ServiceRequestError for every aiohttp.ClientError, a connection that was
    reset after the request had been sent included. What tells them apart is the exception inside.
    """
    from aiohttp import ClientConnectorError  # noqa: PLC0415 -- reads the trusted certificates when it is imported

    if isinstance(error, ServiceRequestTimeoutError):
        return True  # raised for a time-out while connecting only
    return isinstance(error, ServiceRequestError) and isinstance(error.inner_exception, ClientConnectorError)


def from_account(error: AzureError, *, doing: str) -> SasquashError:
    """Return what `error` means where the call was about a storage account itself: a 404 says that it is gone."""
    meaning = from_azure(error, doing=doing)
    return AccountGone(str(meaning)) if isinstance(meaning, NotFound) else meaning


def from_status(
    status: int, code: str | None, *, doing: str, retry_after: float | None, right: str = "the right"
) -> SasquashError:
    """Return what an HTTP `status` with a service's error `code` means.

    `retry_after` is the header of that name, in seconds; `right` is what a refusal means to be lacking.
    """
    said = f"{doing} failed: {status} {redact(code or 'no code')}"
    if status == 429:
        return Throttled(f"{said}.", retry_after=retry_after)
    if status in _PASSING_STATUS:
        return PassingFailure(f"{said}.", retry_after=retry_after)
    if status == 404:
        return NotFound(f"{said}. Check that it still exists and that the app's identity has {right}.")
    if code in _REFUSED_FOR_NOW:
        return PassingFailure(f"{said}: another operation on it is under way.", sent=False)
    if code in _A_PERSON_HELPS:
        return Blocked(f"{said}: {_A_PERSON_HELPS[code]}")
    if status in (401, 403):
        return Blocked(f"{said}: the app's identity lacks {right}, or a policy denies it. See docs/rights.md.")
    return Blocked(f"{said}. A person has to look.")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the header Retry-After in seconds, None where it is missing or a date (RFC 9110, 10.2.3)."""
    try:
        return float(headers.get("Retry-After", ""))
    except ValueError:
        return None
