"""Translates failures of Azure calls, by status, error code and exception, to the errors of Sasquash."""

from collections.abc import Callable, Mapping
from types import TracebackType

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
)

from shared.domain.text import Foreign
from shared.errors import AccountGone, Blocked, NotFound, SasquashError, Throttled, TransientFailure

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


class translate_errors:  # noqa: N801 -- reads as a statement: `with translate_errors("Reading x"): ...`
    """Raise a SasquashError in place of any AzureError inside the block. Other exceptions pass unchanged.

    `doing` names the operation at the start of the message, e.g. "Listing the keys of contosodata". `meaning` is
    `from_azure`, or `from_account` for a call about a storage account itself. Sasquash's own storage has its own
    (`persistence.own_storage`).
    """

    def __init__(self, doing: str, *, meaning: Callable[..., SasquashError] | None = None) -> None:
        self._doing = doing
        self._meaning = meaning or from_azure

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, AzureError):
            raise self._meaning(error, doing=self._doing) from error


def from_azure(error: AzureError, *, doing: str, right: str = "the right") -> SasquashError:
    """Return what `error` means. `doing` completes "… failed", e.g. "listing the keys of contosodata".

    `right` is as in `from_status`.
    """
    if isinstance(error, HttpResponseError) and error.status_code is not None:
        given: object = error.error.code if error.error is not None else None  # any type that JSON has
        code = given if isinstance(given, str) else None
        headers: Mapping[str, str] = getattr(error.response, "headers", {})  # absent from azure-core's own protocol
        return from_status(error.status_code, code, doing=doing, retry_after=retry_after(headers), right=right)
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
    reset after the request had been sent included. The inner exception distinguishes them.
    """
    from aiohttp import ClientConnectorError  # noqa: PLC0415 -- reads the trusted certificates when it is imported

    if isinstance(error, ServiceRequestTimeoutError):
        return True  # raised for a time-out while connecting only
    return isinstance(error, ServiceRequestError) and isinstance(error.inner_exception, ClientConnectorError)


def from_account(error: AzureError, *, doing: str) -> SasquashError:
    """Return what `error` means for a call about a storage account itself: after a 404, it does not exist."""
    meaning = from_azure(error, doing=doing)
    return AccountGone(str(meaning), cause=meaning.cause) if isinstance(meaning, NotFound) else meaning


def from_status(
    status: int, code: str | None, *, doing: str, retry_after: float | None, right: str = "the right"
) -> SasquashError:
    """Return what an HTTP `status` with a service's error `code` means.

    `retry_after` is the header of that name, in seconds; `right` is the permission that is missing after a refusal.
    `code` is quoted as text from outside: a service chooses it, and a request can provoke one.
    """
    said = f"{doing} failed: {status} {Foreign(code) if code else 'no code'}"
    if status == 429:
        return Throttled(f"{said}.", retry_after=retry_after)
    if status in _TRANSIENT_STATUS:
        return TransientFailure(f"{said}.", retry_after=retry_after)
    if status in (404, 410):  # GitHub says 410 of an issue that was deleted (RFC 9110, 15.5.11)
        message = f"{said}. Check that it still exists and that the app's identity has {right}."
        return NotFound(message, cause=said)
    if code in _REFUSED_FOR_NOW:
        return TransientFailure(f"{said}: another operation on it is under way.", sent=False)
    if code in _REMEDIES:
        return Blocked(f"{said}: {_REMEDIES[code]}", cause=said, is_lasting=True)
    if status in (401, 403):
        message = f"{said}: the app's identity lacks {right}, or a policy denies it. See docs/rights.md."
        return Blocked(message, cause=said)
    return Blocked(f"{said}. Check it in Azure.", cause=said)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the header Retry-After in seconds, None where it is missing or a date (RFC 9110, 10.2.3)."""
    try:
        return float(headers.get("Retry-After", ""))
    except ValueError:
        return None
