"""Storage connection strings, in any order, spelling of names, and spacing.

Source: Microsoft Learn, "Configure Azure Storage connection strings"; the client libraries read names in any case.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .hosts import ACCOUNT_NAME, is_foreign, is_host, locate, split_url

_SETTING = re.compile(
    r"(?P<name>DefaultEndpointsProtocol|AccountName|AccountKey|EndpointSuffix|AccountEndpoint"
    r"|(?:Blob|Queue|Table|File|Dfs)(?:Secondary)?Endpoint)[ \t]{0,4}=[ \t]{0,4}(?P<value>[^;,\s\"'<>`)\]}]*)"
    r"|SharedAccessSignature[ \t]{0,4}=[ \t]{0,4}(?P<token>[^;\s\"<>`]*)",
    re.IGNORECASE,
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
    lower = text.lower()
    if not any(name in lower for name in ("accountkey", "sharedaccesssignature", "accountendpoint")):
        return
    group: list[re.Match[str]] = []
    names: set[str] = set()
    for match in _SETTING.finditer(text):
        name = _name(match)
        follows = group and _BETWEEN.fullmatch(text, group[-1].end(), match.start())
        if group and (not follows or name in names):
            yield _connection(group)
            group, names = [], set()
        group.append(match)
        names.add(name)
    if group:
        yield _connection(group)


def _name(match: re.Match[str]) -> str:
    return (match["name"] or "SharedAccessSignature").lower()


def _connection(group: list[re.Match[str]]) -> Connection:
    settings = {_name(match): match for match in group}
    values = {name: match["value"] or "" for name, match in settings.items()}
    host, path = _address(values)
    key, token = settings.get("accountkey"), settings.get("sharedaccesssignature")
    return Connection(
        start=group[0].start(),
        end=group[-1].end(),
        host=host,
        path=path,
        foreign="accountendpoint" in values or (host is not None and is_foreign(host)),
        key=values.get("accountkey", ""),
        key_at=key.start("value") if key else -1,
        token=token["token"] if token else "",
        token_at=token.start("token") if token else -1,
    )


def _address(values: dict[str, str]) -> tuple[str | None, str | None]:
    """Prefer an endpoint to a name, except a custom domain, which does not identify the account."""
    endpoints = [split_url(values[name]) for name in _ENDPOINTS if name in values]
    addresses = [(host, path.strip("/") or None) for host, path in endpoints if host is not None]
    for host, path in addresses:
        if is_foreign(host) or locate(host, path).account is not None:
            return host, path
    account = values.get("accountname", "").lower()
    suffix = values.get("endpointsuffix", "").lower()
    if ACCOUNT_NAME.fullmatch(account):
        host = f"{account}.blob.{suffix or 'core.windows.net'}"
        return (host if is_host(host) else f"{account}.blob.core.windows.net"), None
    return addresses[0] if addresses else (None, None)
