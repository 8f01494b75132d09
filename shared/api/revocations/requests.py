"""The requests of responders. Every field is checked against its own rule.

A rule's description completes "`field` must be …". That is the whole message: no value is repeated.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import msgspec

from shared.actions.registry import ACTION_SPECS
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.target import ActionKind, InvalidTarget
from shared.errors import InvalidRequest, NoSuchRecord

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_DIGEST = re.compile(r"[0-9a-f]{64}")
# Starts with a visible character and has no control characters and no bidirectional formatting characters, so that a
# line of the history is displayed as it was written. Python's "$" would allow a line feed at the end.
_UNFIT = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
_LINE = rf"^[^\s{_UNFIT}][^{_UNFIT}]*\Z"


def _rule(must_be: str, **constraints: Any) -> msgspec.Meta:
    return msgspec.Meta(description=must_be, **constraints)


def _line(longest: int) -> msgspec.Meta:
    return _rule(
        f"one line of 1 to {longest} characters that does not start with a space", pattern=_LINE, max_length=longest
    )


_Text = Annotated[str, _rule("a non-empty string", min_length=1)]
_Source = Annotated[str, _line(200)]
_Url = Annotated[str, _line(2048)]
_Reason = Annotated[str, _line(500)]
_Digest = Annotated[str, _rule("a plan's digest: 64 hex digits in lower case", pattern=r"^[0-9a-f]{64}\Z")]
_Account = Annotated[str, _rule("a storage account's name", pattern=r"^[a-z0-9]{3,24}\Z")]
_Accounts = Annotated[tuple[_Account, ...], _rule("a list of at most 50 storage accounts' names", max_length=50)]
_Action = Annotated[ActionKind, _rule(f"one of {', '.join(ActionKind)}")]
_Target = Annotated[str, _line(200)]
_Switch = Annotated[bool, _rule("true or false")]
_Wait = Annotated[float, _rule("a number of seconds from 0 to 60", ge=0, le=60)]  # the front end times out after 230
_State = Annotated[State, _rule(f"one of {', '.join(State)}")]
_Limit = Annotated[int, _rule("a whole number from 1 to 100", ge=1, le=100)]
_After = Annotated[str, _rule("the value of `next` in the previous page", pattern=r"^[A-Za-z0-9_=-]{1,2000}\Z")]


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

    account: _Account
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
    account: _Account | None = None
    limit: _Limit = 50
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
        return _checked(body, ReportRequest)
    if body.keys().isdisjoint({"account", "action", "target"}):
        raise InvalidRequest(
            "The body has neither `text`, to report a leak, nor `account`, `action` and `target`, to order an action."
        )
    order = _checked(body, OrderRequest)
    try:
        ACTION_SPECS[order.action].check_target(order.target)
    except InvalidTarget as error:
        raise InvalidRequest(f"`target` does not match `action`: {error}.") from None
    return order


def read_approval(body: Mapping[str, Any]) -> ApprovalRequest:
    """Return the body of an approval. Raises InvalidRequest."""
    return _checked(body, ApprovalRequest)


def read_reason(body: Mapping[str, Any]) -> str:
    """Return the reason, the only field of the body. Raises InvalidRequest."""
    return _checked(body, ReasonRequest).reason


def read_read_query(url: str) -> ReadQuery:
    """Return how the query of `url` asks for a record. Raises InvalidRequest."""
    given = _parameters(url)
    if given.get("verify") in ("true", "false"):
        given["verify"] = given["verify"] == "true"
    return _checked(given, ReadQuery)


def read_page_query(url: str) -> PageQuery:
    """Return the page that the query of `url` describes. Raises InvalidRequest."""
    given = _parameters(url)
    limit = given.get("limit", "")
    if re.fullmatch(r"[1-9][0-9]{0,2}", limit):
        given["limit"] = int(limit)
    return _checked(given, PageQuery)


def _parameters(url: str) -> dict[str, Any]:
    """Return the parameters of a query. Raises InvalidRequest for one that occurs twice.

    The host's own parameters can't be used: they lack empty values, and join repeated ones with commas.
    """
    pairs = parse_qsl(url.partition("?")[2], keep_blank_values=True)
    given: dict[str, Any] = dict(pairs)
    if len(given) != len(pairs):
        raise InvalidRequest("The query has a duplicate parameter.")
    return given


def read_id(text: str) -> str:
    """Return `text` if it is a fingerprint. Raises NoSuchRecord."""
    if not _DIGEST.fullmatch(text):
        raise NoSuchRecord("There is no such revocation: an id is 64 hex digits in lower case.")
    return text


def _checked[T: DataclassInstance](given: Mapping[str, Any], kind: type[T]) -> T:
    """Return the `kind` that `given` describes. Raises InvalidRequest for the first field that breaks its rule."""
    known = [item.name for item in fields(kind)]
    if not given.keys() <= set(known):
        raise InvalidRequest(f"The body or query has a field that is not one of {_quoted(known)}.")
    required = [item.name for item in fields(kind) if item.default is MISSING]
    if not given.keys() >= set(required):
        raise InvalidRequest(f"These fields are required: {_quoted(required)}.")
    hints = get_type_hints(kind, include_extras=True)
    return kind(**{name: _value(name, given[name], hints[name]) for name in known if name in given})


def _value(name: str, value: object, hint: Any) -> object:
    try:
        return msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError:  # without a cause: it may contain the value
        annotated = hint if get_origin(hint) is Annotated else get_args(hint)[0]  # of `… | None`
        [rule] = annotated.__metadata__
        raise InvalidRequest(f"`{name}` must be {rule.description}.") from None


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
