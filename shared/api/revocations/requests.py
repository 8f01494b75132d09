"""What responders ask for, in the form in which the desk gets it. Every field is checked against its own rule.

A rule's description completes "`field` must be …". That is all that a caller is told: no value is repeated.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import azure.functions as func
import msgspec

from shared.actions.registry import ACTION_SPECS
from shared.domain.revocation import Revocation, State
from shared.domain.target import ActionKind, InvalidTarget
from shared.errors import InvalidRequest, NoSuchRecord
from shared.sources import json_body

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_DIGEST = re.compile(r"[0-9a-f]{64}")
# Begins with something visible and has no control characters, nor what turns the direction of the text around it, so
# that a line of the history reads as it was written. Python's "$" would let a line feed pass at the end.
_UNFIT = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
_LINE = rf"^[^\s{_UNFIT}][^{_UNFIT}]*\Z"


def _rule(must_be: str, **constraints: Any) -> msgspec.Meta:
    return msgspec.Meta(description=must_be, **constraints)


def _line(longest: int) -> msgspec.Meta:
    return _rule(
        f"one line of 1 to {longest} characters that begins with no space", pattern=_LINE, max_length=longest
    )


_Text = Annotated[str, _rule("a text that is not empty", min_length=1)]
_Source = Annotated[str, _line(200)]
_Url = Annotated[str, _line(2048)]
_Reason = Annotated[str, _line(500)]
_Digest = Annotated[str, _rule("a plan's digest: 64 hex digits in lower case", pattern=r"^[0-9a-f]{64}\Z")]
_Account = Annotated[str, _rule("a storage account's name", pattern=r"^[a-z0-9]{3,24}\Z")]
_Accounts = Annotated[tuple[_Account, ...], _rule("a list of at most 50 storage accounts' names", max_length=50)]
_Lever = Annotated[ActionKind, _rule(f"one of {', '.join(ActionKind)}")]
_Target = Annotated[str, _line(200)]
_Switch = Annotated[bool, _rule("true or false")]
_Wait = Annotated[float, _rule("a number of seconds from 0 to 60", ge=0, le=60)]  # the front end gives up after 230
_State = Annotated[State, _rule(f"one of {', '.join(State)}")]
_Limit = Annotated[int, _rule("a whole number from 1 to 100", ge=1, le=100)]
_After = Annotated[str, _rule("what `next` of the page before said", pattern=r"^[A-Za-z0-9_=-]{1,2000}\Z")]


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """A leaked text. It is the secret itself: it stays in memory, and out of every repr.

    `accounts` are names of accounts to try for a token or key that leaked without one. `wait` is in seconds.
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
    """To pull a lever without a leaked text. `target` is one that the action's `check_target` accepts."""

    account: _Account
    action: _Lever
    target: _Target
    reason: _Reason


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A yes to the plan that has this digest."""

    digest: _Digest
    reason: _Reason


@dataclass(frozen=True, slots=True)
class ReasonRequest:
    """To do what the route says, and why."""

    reason: _Reason


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which records to list. `after` is `next` of the page before."""

    state: _State | None = None
    account: _Account | None = None
    limit: _Limit = 50
    after: _After | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some records; `next` is None on the last page."""

    revocations: tuple[Revocation, ...]
    next: str | None


def read_submission(request: func.HttpRequest) -> ReportRequest | OrderRequest:
    """Return what was posted: a report, or an order where there is no leaked text. Raises InvalidRequest."""
    given = json_body.read(request)
    if "text" in given:
        return _checked(given, ReportRequest)
    if given.keys().isdisjoint({"account", "action", "target"}):
        raise InvalidRequest("The body has neither `text`, to report a leak, nor `account`, `lever` and `target`.")
    order = _checked(given, OrderRequest)
    try:
        ACTION_SPECS[order.action].check_target(order.target)
    except InvalidTarget as error:
        raise InvalidRequest(f"`target` does not fit `lever`: {error}.") from None
    return order


def read_approval(request: func.HttpRequest) -> ApprovalRequest:
    """Return the body of an approval. Raises InvalidRequest."""
    return _checked(json_body.read(request), ApprovalRequest)


def read_reason(request: func.HttpRequest) -> str:
    """Return the reason in a body that holds nothing else. Raises InvalidRequest."""
    return _checked(json_body.read(request), ReasonRequest).reason


def read_page_query(request: func.HttpRequest) -> PageQuery:
    """Return which page is asked for. Raises InvalidRequest.

    It is read from the URL: the host's own view of it drops empty values and joins repeated ones with commas.
    """
    pairs = parse_qsl(request.url.partition("?")[2], keep_blank_values=True)
    given: dict[str, Any] = dict(pairs)
    if len(given) != len(pairs):
        raise InvalidRequest("The query has a parameter twice.")
    limit = given.get("limit", "")
    if re.fullmatch(r"[1-9][0-9]{0,2}", limit):
        given["limit"] = int(limit)
    return _checked(given, PageQuery)


def read_id(request: func.HttpRequest) -> str:
    """Return the fingerprint in the path. Raises NoSuchRecord for what can't be one."""
    fingerprint = str(request.route_params.get("id", ""))
    if not _DIGEST.fullmatch(fingerprint):
        raise NoSuchRecord("There is no such revocation: its id is 64 hex digits in lower case.")
    return fingerprint


def _checked[T: DataclassInstance](given: Mapping[str, Any], kind: type[T]) -> T:
    """Return the `kind` that `given` describes. Raises InvalidRequest for the first field that breaks its rule."""
    known = [item.name for item in fields(kind)]
    if not given.keys() <= set(known):
        raise InvalidRequest(f"There is a field that is not one of {_quoted(known)}.")
    required = [item.name for item in fields(kind) if item.default is MISSING]
    if not given.keys() >= set(required):
        raise InvalidRequest(f"All of {_quoted(required)} must be there.")
    hints = get_type_hints(kind, include_extras=True)
    return kind(**{name: _value(name, given[name], hints[name]) for name in known if name in given})


def _value(name: str, value: object, hint: Any) -> object:
    try:
        return msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError:  # without a cause: it may repeat the value
        annotated = hint if get_origin(hint) is Annotated else get_args(hint)[0]  # of `… | None`
        [rule] = annotated.__metadata__
        raise InvalidRequest(f"`{name}` must be {rule.description}.") from None


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
