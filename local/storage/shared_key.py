"""Shared Key authorization: signs requests and verifies signatures.

Source: "Authorize with Shared Key" (learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key): for
blobs, queues and files the format of 2015-02-21 and later, for tables its own. Azurite verifies requests itself; this
is for requests that do not reach it unchanged.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import unquote

from starlette.datastructures import Headers

_SIGNED_HEADERS = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


def authorization(
    *, service: str, method: str, account: str, path: str, query: str, headers: Headers, key: str
) -> str:
    """Return the Authorization header of a request. `path` and `query` are as sent; `key` is in base64."""
    signed = _of_a_table if service == "table" else _of_others
    text = signed(method=method, resource=f"/{account}{path}", query=query, headers=headers)
    digest = hmac.digest(base64.b64decode(key), text.encode(), hashlib.sha256)
    return f"SharedKey {account}:{base64.b64encode(digest).decode()}"


def _of_a_table(*, method: str, resource: str, query: str, headers: Headers) -> str:
    """Date counts only without x-ms-date, and of the query only `comp` counts."""
    date = headers.get("x-ms-date") or headers.get("date", "")
    comp = next((f"?{pair}" for pair in query.split("&") if pair.startswith("comp=")), "")
    return "\n".join([method, headers.get("content-md5", ""), headers.get("content-type", ""), date, resource + comp])


def _of_others(*, method: str, resource: str, query: str, headers: Headers) -> str:
    values = [headers.get(name, "") for name in _SIGNED_HEADERS]
    if values[2] == "0":
        values[2] = ""
    if "x-ms-date" in headers:
        values[5] = ""
    extensions = sorted((name, value) for name, value in headers.items() if name.startswith("x-ms-"))
    parameters: dict[str, list[str]] = {}
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        parameters.setdefault(unquote(name).lower(), []).append(unquote(value.replace("+", " ")))
    return "\n".join(
        [
            method,
            *values,
            *(f"{name}:{' '.join(value.split())}" for name, value in extensions),
            resource,
            *(f"{name}:{','.join(sorted(parameters[name]))}" for name in sorted(parameters)),
        ]
    )


def signed_by(
    *, service: str, method: str, account: str, path: str, query: str, headers: Headers, keys: Mapping[str, str]
) -> str | None:
    """Return the name of the key among `keys` that signed the request; None if none did."""
    given = headers.get("authorization", "").encode()
    for name, key in keys.items():
        wanted = authorization(
            service=service, method=method, account=account, path=path, query=query, headers=headers, key=key
        )
        if hmac.compare_digest(given, wanted.encode()):
            return name
    return None
