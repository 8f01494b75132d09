"""What a leaked credential allows, in words, and its severity. Pure: the result depends on the arguments only."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from .credential import Credential
from .hosts import locate
from .kinds import Kind, ResourceKind, Service
from .permissions import is_writable, verbs

_LONG = timedelta(days=7)  # the maximum lifetime of a user delegation key
_VERY_LONG = timedelta(days=365)
_SOON = timedelta(days=2)
_LONGEST_NAME = 160

# Formats whose loading runs code, or that old loaders read as pickles.
_CODE_FILES = (".ckpt", ".pkl", ".pickle", ".pt", ".pth", ".joblib", ".dill", ".h5", ".keras", ".npy", ".npz", ".mar")
_MODEL_WORDS = ("model", "checkpoint", "weights")

_THINGS = {Service.BLOB: "blob", Service.QUEUE: "queue", Service.TABLE: "table", Service.FILE: "file"}
_HOLDERS = {Service.BLOB: "container", Service.QUEUE: "queue", Service.TABLE: "table", Service.FILE: "share"}
_ITEMS = {ResourceKind.BLOB, ResourceKind.BLOB_SNAPSHOT, ResourceKind.BLOB_VERSION, ResourceKind.FILE}


class Severity(StrEnum):
    """The severity of a leak."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


_HIGH = tuple(Severity).index(Severity.HIGH)


@dataclass(frozen=True, slots=True)
class Risk:
    """`grants` is one sentence; `reasons` explain the severity; `notes` are other properties."""

    severity: Severity
    grants: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


def assess(credential: Credential, *, now: datetime) -> Risk:
    """Return what `credential` grants its holder, and its severity at `now`."""
    if credential.kind is Kind.ACCOUNT_KEY:
        return Risk(
            Severity.CRITICAL,
            f"Do everything with every blob, queue, table and file of {_account(credential)}, and mint tokens for "
            "others, from anywhere, until the key is regenerated.",
            ("An account key opens everything and does not expire.",),
            (),
        )
    factors = list(_factors(credential, now))
    expired = credential.ends is not None and credential.ends <= now
    level = 0 if expired else min(max(sum(points for points, _ in factors), 0), len(Severity) - 1)
    # What makes it no worse explains a low severity, and distracts from a high one.
    reasons = tuple(reason for points, reason in factors if points or level < _HIGH)
    return Risk(
        severity=tuple(Severity)[level],
        grants=_sentence(credential, now),
        reasons=("It has expired." if not credential.policy else "Its own end is past.", *reasons)
        if expired
        else reasons,
        notes=tuple(_notes(credential, now)),
    )


def _factors(credential: Credential, now: datetime) -> Iterator[tuple[int, str]]:
    """Yield what makes the leak worse or better, in steps of severity from the lowest."""
    if credential.kind is Kind.ACCOUNT_SAS:
        yield 2, "It opens the whole account."
    elif credential.resource_kind in _ITEMS:
        yield 0, f"It opens one {_word(credential)} only."
    else:
        yield 1, f"It opens a whole {_word(credential)}."
    if credential.permissions is None:
        yield 1, "A stored access policy says what it may do; it may include changing data."
    elif is_writable(credential):
        yield 1, "It may change data."
    else:
        yield 0, "It may only read."
    if credential.ends and credential.ends - now > _VERY_LONG:
        yield 1, f"It lives for {_years(credential.ends - now)} more."
    if is_writable(credential) and (_model_files(credential) or _website(credential)):
        yield 1, "What it may change is run by others."
    if credential.ip_range:
        yield -1, "It works from some addresses only."
    if _user_bound(credential):
        yield -1, "It works only together with the sign-in of one user."


def _sentence(credential: Credential, now: datetime) -> str:
    limits = ", ".join((_until(credential, now), _from(credential), _protocols(credential)))
    words = verbs(credential)
    what = _what(credential)
    if not words:
        policy = (
            f"the stored access policy {_name(credential.policy)}" if credential.policy else "nothing in the token"
        )
        return f"Do what {policy} allows with {what}, {limits}."
    spoken = _list(words)
    return f"{spoken[0].upper()}{spoken[1:]} {what}, {limits}."


def _what(credential: Credential) -> str:
    account, place = _account(credential), _place(credential)
    match credential.resource_kind:
        case ResourceKind.ACCOUNT:
            return _of_account(credential, account)
        case ResourceKind.CONTAINER:
            return f"every blob in the container {place} of {account}"
        case ResourceKind.DIRECTORY:
            return f"everything in the directory {place} of {account}"
        case ResourceKind.SHARE:
            return f"every file in the share {place} of {account}"
        case ResourceKind.QUEUE:
            return f"the messages in the queue {place} of {account}"
        case ResourceKind.TABLE:
            part = (
                "a range of the entities"
                if credential.parameter("spk") or credential.parameter("epk")
                else "the entities"
            )
            return f"{part} in the table {place} of {account}"
        case _:
            return f"the {_word(credential)} {place} of {account}"


def _of_account(credential: Credential, account: str) -> str:
    services = [service for service in _THINGS if service in credential.services]
    types = credential.resource_types or ""
    if "o" in types:
        return f"every {_list([_THINGS[service] for service in services])} of {account}"
    if "c" in types:
        holders = _list([f"{_HOLDERS[service]}s" for service in services])
        return f"the {holders} of {account}, but not what is in them"
    return f"the settings and lists of the {_list([service.value for service in services])} service of {account}"


def _until(credential: Credential, now: datetime) -> str:
    if credential.ends is not None:
        soon = credential.ends - now < _SOON
        return f"until {credential.ends:{'%Y-%m-%d %H:%M UTC' if soon else '%Y-%m-%d'}}"
    if credential.policy:
        return f"for as long as the stored access policy {_name(credential.policy)} says"
    return "until an end that can't be read"


def _from(credential: Credential) -> str:
    place = f"from {_name(credential.ip_range)} only" if credential.ip_range else "from anywhere"
    return f"{place}, with the sign-in of one user" if _user_bound(credential) else place


def _protocols(credential: Credential) -> str:
    return "over https only" if credential.protocols == "https" else "also over plain HTTP"


def _notes(credential: Credential, now: datetime) -> Iterator[str]:
    """Yield over-permission, named as such, and other risks."""
    published_item = _published_item(credential)
    if published_item and credential.resource_kind not in _ITEMS:
        scope = "the whole account" if credential.kind is Kind.ACCOUNT_SAS else f"the whole {_word(credential)}"
        yield f"More scope than needed: it was published for {_name(published_item)} and opens {scope}."
    if published_item and credential.permissions is not None and is_writable(credential):
        yield "More rights than needed: a link to one file needs the right to read, and this may change data."
    if credential.ends and credential.ends - now > _LONG:
        yield f"More life than needed: it lives for {_years(credential.ends - now)} more."
    if credential.ends is None and credential.policy:
        yield "It has no end of its own; if the stored access policy has none either, it never expires."
    elif credential.ends is None:
        yield "It has no end that can be read: take it to be valid for ever."
    if credential.starts and credential.starts > now:
        yield f"It is not valid before {credential.starts:%Y-%m-%d %H:%M UTC}."
    if credential.protocols != "https":
        yield "It is accepted over plain HTTP, where anyone on the way can read it."
    if credential.kind is Kind.USER_DELEGATION_SAS and (credential.parameter("srh") or credential.parameter("srq")):
        yield "It works only in requests with certain headers or query parameters, whose values are not in it."
    if is_writable(credential) and _model_files(credential):
        yield "Writable model or pickle files: loading them may run an attacker's code. Check them before use."
    if is_writable(credential) and _website(credential):
        yield "It may change a static website: visitors get what an attacker puts there."


def _published_item(credential: Credential) -> str | None:
    """Return the path of the one blob or file that the text led to; None where it led to no such thing."""
    if not {Service.BLOB, Service.FILE} & credential.services:
        return None
    path = locate(credential.host, credential.path).path or ""
    item = path.partition("/")[2]
    if credential.resource_kind in _ITEMS or (item and not item.endswith("/") and item != credential.resource_path):
        return path or None
    return None


def _user_bound(credential: Credential) -> bool:
    return credential.kind is Kind.USER_DELEGATION_SAS and credential.parameter("sduoid") is not None


def _model_files(credential: Credential) -> bool:
    path = (credential.path or "").lower()
    if credential.resource_kind in _ITEMS:
        return path.endswith(_CODE_FILES)
    return path.endswith(_CODE_FILES) or any(word in path for word in _MODEL_WORDS)


def _website(credential: Credential) -> bool:
    return credential.container == "$web" or ".web." in (credential.host or "")


def _account(credential: Credential) -> str:
    if credential.account:
        return f"the storage account {_name(credential.account)}"
    return f"the storage account behind {_name(credential.host)}" if credential.host else "a storage account"


def _place(credential: Credential) -> str:
    parts = [part for part in (credential.container, credential.resource_path) if part]
    return _name("/".join(parts)) if parts else "(its name is not in the text)"


def _word(credential: Credential) -> str:
    kind = credential.resource_kind
    return kind.value.replace("_", " ") if kind else "resource"


def _name(text: str | None) -> str:
    """Quote a name that an attacker may have chosen."""
    name = text or ""
    return f"'{name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + '…'}'"


def _list(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _years(span: timedelta) -> str:
    return f"{span.days // 365} years" if span.days >= 2 * 365 else f"{span.days} days"
