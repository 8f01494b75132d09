"""The requests of responders. Every field is checked against its own rule (`request_fields`)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from shared.actions.registry import ACTION_SPECS
from shared.api.request_fields import AccountName, PageLimit, checked, parameters, rule, with_numbers
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.target import ActionKind, InvalidTarget
from shared.errors import InvalidRequest, NoSuchRecord

_DIGEST = re.compile(r"[0-9a-f]{64}")
# Starts with a visible character and has no control characters and no bidirectional formatting characters, so that a
# line of the history is displayed as it was written. Python's "$" would allow a line feed at the end.
_UNFIT = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
_LINE = rf"^[^\s{_UNFIT}][^{_UNFIT}]*\Z"


def _line(longest: int) -> msgspec.Meta:
    return rule(
        f"one line of 1 to {longest} characters that does not start with a space", pattern=_LINE, max_length=longest
    )


_Text = Annotated[str, rule("a non-empty string", min_length=1)]
_Source = Annotated[str, _line(200)]
_Url = Annotated[str, _line(2048)]
_Reason = Annotated[str, _line(500)]
_Digest = Annotated[str, rule("a plan's digest: 64 hex digits in lower case", pattern=r"^[0-9a-f]{64}\Z")]
_Accounts = Annotated[tuple[AccountName, ...], rule("a list of at most 50 storage accounts' names", max_length=50)]
_Action = Annotated[ActionKind, rule(f"one of {', '.join(ActionKind)}")]
_Target = Annotated[str, _line(200)]
_Switch = Annotated[bool, rule("true or false")]
_Wait = Annotated[float, rule("a number of seconds from 0 to 60", ge=0, le=60)]  # the front end times out after 230
_State = Annotated[State, rule(f"one of {', '.join(State)}")]
_After = Annotated[str, rule("the value of `next` in the previous page", pattern=r"^[A-Za-z0-9_=-]{1,2000}\Z")]


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """A leaked text. It contains the secret: it is kept in memory only, and out of every repr.

    `accounts` are candidate accounts for an unattributed token or key. `wait` is in seconds.
    """

    text: _Text = field(repr=False)
    reason: _Reason
    url: _Url | None = None
    source: _Source = "responder"
    accounts: _Accounts = ()
    wait: _Wait = 0.0
    dry_run: _Switch = False


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """Run a containment action without a leaked text. `target` is one that the action's `check_target` accepts."""

    account: AccountName
    action: _Action
    target: _Target
    reason: _Reason


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """Approve the plan that has this digest."""

    digest: _Digest
    reason: _Reason


@dataclass(frozen=True, slots=True)
class ReasonRequest:
    """The reason for a decision."""

    reason: _Reason


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which records to list. `after` is `next` of the previous page."""

    state: _State | None = None
    account: AccountName | None = None
    limit: PageLimit = 50
    after: _After | None = None


@dataclass(frozen=True, slots=True)
class ReadQuery:
    """How to read one record. `verify`: check its history now."""

    verify: _Switch = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some records; `next` is None on the last page. `unreadable` are ids of records that can't be read."""

    revocations: tuple[Revocation, ...]
    next: str | None
    unreadable: tuple[str, ...] = ()


def read_submission(body: Mapping[str, Any]) -> ReportRequest | OrderRequest:
    """Return a report, or an order where the body has no leaked text. Raises InvalidRequest."""
    if "text" in body:
        return checked(body, ReportRequest)
    if body.keys().isdisjoint({"account", "action", "target"}):
        raise InvalidRequest(
            "The body has neither `text`, to report a leak, nor `account`, `action` and `target`, to order an action."
        )
    order = checked(body, OrderRequest)
    try:
        ACTION_SPECS[order.action].check_target(order.target)
    except InvalidTarget as error:
        raise InvalidRequest(f"`target` does not match `action`: {error}.") from None
    return order


def read_approval(body: Mapping[str, Any]) -> ApprovalRequest:
    """Return the body of an approval. Raises InvalidRequest."""
    return checked(body, ApprovalRequest)


def read_reason(body: Mapping[str, Any]) -> str:
    """Return the reason, the only field of the body. Raises InvalidRequest."""
    return checked(body, ReasonRequest).reason


def read_read_query(url: str) -> ReadQuery:
    """Return how the query of `url` asks for a record. Raises InvalidRequest."""
    given = parameters(url)
    if given.get("verify") in ("true", "false"):
        given["verify"] = given["verify"] == "true"
    return checked(given, ReadQuery)


def read_page_query(url: str) -> PageQuery:
    """Return the page that the query of `url` describes. Raises InvalidRequest."""
    return checked(with_numbers(parameters(url), "limit"), PageQuery)


def read_id(text: str) -> str:
    """Return `text` if it is a fingerprint. Raises NoSuchRecord."""
    if not _DIGEST.fullmatch(text):
        raise NoSuchRecord("There is no such revocation: an id is 64 hex digits in lower case.")
    return text
