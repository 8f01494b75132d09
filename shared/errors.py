"""The errors of Sasquash. Each message says what happened, to what, and what to do. No message holds a secret.

    SasquashError
    ├── SettingsError          a setting is missing or malformed: the app does not start
    ├── MalformedEvent         an event that is not a finding of ours
    ├── TransientFailure       a remote call failed; try it again
    │   └── Throttled          429: refused for now, nothing was done
    │       └── WritesThrottled    Azure Resource Manager accepts no more writes for now
    ├── Blocked                Azure refuses until a person changes something
    │   └── NotFound           the resource of the call does not exist
    │       └── AccountGone    the storage account does not exist
    ├── AccountBusy            another process holds the account's lock
    ├── Conflict               a record changed since it was read
    ├── InvalidRequest         a responder's request is malformed or can't be done
    ├── NoSuchSource           the intake has no such source
    ├── QuotaExceeded          a source sends more reports than its quota
    ├── Unauthenticated        an access token or a report's signature is missing or invalid
    ├── NotPermitted           the caller lacks a role, or a second person is required
    ├── NoSuchRecord           there is no revocation with this id
    └── WrongState             the record's state or plan does not allow it

Callers ask three questions: can the call be repeated, may it have had an effect, does it require a person.
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

# 409s of the storage resource provider that are transient: the request was refused and had no effect.
_REFUSED_FOR_NOW = frozenset(
    {"StorageAccountOperationInProgress", "OperationInProgress", "AnotherOperationInProgress"}
)
# Error codes of Azure Resource Manager that last until a person changes something, with the change to make
# ("Troubleshoot common Azure deployment errors").
_REMEDIES = {
    "ScopeLocked": "a ReadOnly lock forbids it. Remove the lock (az lock list / az lock delete).",
    "RequestDisallowedByPolicy": "an Azure Policy denies it. Have its owner exempt the account "
    "(az policy exemption create).",
    "DenyAssignmentAuthorizationFailed": "a deny assignment of a managed application or a deployment stack forbids "
    "it. Have its owner do it.",
    "ReadOnlyDisabledSubscription": "the subscription is disabled and read-only. Enable it again.",
}
_TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504})


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


class Blocked(SasquashError):
    """Azure refuses until a person changes something: a role assignment, a lock or a policy."""

    code = "blocked"


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


class InvalidRequest(SasquashError):
    """A responder's request is malformed or can't be done. The message names the field and the rule, no value."""

    code = "invalid_request"


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


class NoSuchRecord(SasquashError):
    """There is no revocation with this id."""

    code = "no_such_record"


class WrongState(SasquashError):
    """The record's state does not allow this, or the plan changed since it was shown."""

    code = "wrong_state"


def from_azure(error: AzureError, *, doing: str) -> SasquashError:
    """Return what `error` means. `doing` completes "… failed", e.g. "listing the keys of contosodata"."""
    if isinstance(error, HttpResponseError) and error.status_code is not None:
        code = error.error.code if error.error is not None else None
        headers: Mapping[str, str] = getattr(error.response, "headers", {})  # absent from azure-core's own protocol
        return from_status(error.status_code, code, doing=doing, retry_after=retry_after(headers))
    if isinstance(error, ClientAuthenticationError):
        return TransientFailure(
            f"{doing} failed: no token for the app's identity. If this stays, check SASQUASH_CLIENT_ID "
            "and that the identity is assigned to the app.",
            sent=False,
        )
    return TransientFailure(f"{doing} failed: no answer ({type(error).__name__}).", sent=not _never_left(error))


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
    if status in _TRANSIENT_STATUS:
        return TransientFailure(f"{said}.", retry_after=retry_after)
    if status == 404:
        return NotFound(f"{said}. Check that it still exists and that the app's identity has {right}.")
    if code in _REFUSED_FOR_NOW:
        return TransientFailure(f"{said}: another operation on it is under way.", sent=False)
    if code in _REMEDIES:
        return Blocked(f"{said}: {_REMEDIES[code]}")
    if status in (401, 403):
        return Blocked(f"{said}: the app's identity lacks {right}, or a policy denies it. See docs/rights.md.")
    return Blocked(f"{said}. Check it in Azure.")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the header Retry-After in seconds, None where it is missing or a date (RFC 9110, 10.2.3)."""
    try:
        return float(headers.get("Retry-After", ""))
    except ValueError:
        return None
