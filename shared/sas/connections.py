"""Storage connection strings, in any order, spelling of names, and spacing.

Source: Microsoft Learn, "Configure Azure Storage connection strings"; the client libraries read names in any case.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .anchors import lowered
from .hosts import ACCOUNT_NAME, account_name, is_foreign, is_host, locate, split_url

_SETTING = re.compile(  # in lower case: several times faster than a pattern that ignores it
    r"(?P<name>defaultendpointsprotocol|accountname|accountkey|endpointsuffix|accountendpoint"
    r"|(?:blob|queue|table|file|dfs)(?:secondary)?endpoint)[ \t]{0,4}=[ \t]{0,4}(?P<value>[^;,\s\"'<>`)\]}]*)"
    r"|sharedaccesssignature[ \t]{0,4}=[ \t]{0,4}(?P<token>[^;\s\"<>`]*)"
)
_BETWEEN = re.compile(r"[;,\s'\"]{0,12}")
_ENDPOINTS = tuple(
    f"{service}{copy}endpoint" for copy in ("", "secondary") for service in ("blob", "dfs", "file", "queue", "table")
)


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection string at [start, end) of a text.

    `host` is its first endpoint's, or the blob endpoint that its account's name stands for; `path` holds the
    account's name where the endpoint is path-style. Both are None where it names neither. `key` and `token` are as
    written, with the positions where they start; "" where there is none. `foreign`: of another Azure service.
    """

    start: int
    end: int
    host: str | None
    path: str | None
    foreign: bool
    key: str
    key_at: int
    token: str
    token_at: int


def find_connections(text: str) -> Iterator[Connection]:
    """Yield the connection strings in `text`, in order."""
    lower = lowered(text)
    if not any(name in lower for name in ("accountkey", "sharedaccesssignature", "accountendpoint")):
        return
    group: list[re.Match[str]] = []
    names: set[str] = set()
    for match in _SETTING.finditer(lower):
        name = _name(match)
        follows = group and _BETWEEN.fullmatch(text, group[-1].end(), match.start())
        if group and (not follows or name in names):
            yield _connection(text, group)
            group, names = [], set()
        group.append(match)
        names.add(name)
    if group:
        yield _connection(text, group)


def _name(match: re.Match[str]) -> str:
    return match["name"] or "sharedaccesssignature"


def _connection(text: str, group: list[re.Match[str]]) -> Connection:
    settings = {_name(match): match.span("value" if match["name"] else "token") for match in group}
    values = {name: text[start:end] for name, (start, end) in settings.items()}
    host, path = _address(values)
    return Connection(
        start=group[0].start(),
        end=group[-1].end(),
        host=host,
        path=path,
        foreign="accountendpoint" in values or (host is not None and is_foreign(host)),
        key=values.get("accountkey", ""),
        key_at=settings.get("accountkey", (-1,))[0],
        token=values.get("sharedaccesssignature", ""),
        token_at=settings.get("sharedaccesssignature", (-1,))[0],
    )


def _address(values: dict[str, str]) -> tuple[str | None, str | None]:
    """Prefer an endpoint to a name, except a custom domain, which does not identify the account."""
    endpoints = [split_url(values[name]) for name in _ENDPOINTS if name in values]
    addresses = [(host, path.strip("/") or None) for host, path in endpoints if host is not None]
    for host, path in addresses:
        if is_foreign(host) or locate(host, path).account is not None:
            return host, path
    account = account_name(values.get("accountname", ""))
    suffix = values.get("endpointsuffix", "").lower()
    if ACCOUNT_NAME.fullmatch(account):
        host = f"{account}.blob.{suffix or 'core.windows.net'}"
        return (host if is_host(host) else f"{account}.blob.core.windows.net"), None
    return addresses[0] if addresses else (None, None)
