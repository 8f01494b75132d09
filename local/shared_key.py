"""Shared Key authorization of the blob, queue and file services: the string to sign, and checking it.

Source: "Authorize with Shared Key" (learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key), format
of 2015-02-21 and later. Azurite checks these itself; this is for what never reaches it as it was sent.
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


def authorization(*, method: str, account: str, path: str, query: str, headers: Headers, key: str) -> str:
    """The Authorization header for a request. `path` and `query` are as sent; `key` is in base64."""
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
    text = "\n".join(
        [
            method,
            *values,
            *(f"{name}:{' '.join(value.split())}" for name, value in extensions),
            f"/{account}{path}",
            *(f"{name}:{','.join(sorted(parameters[name]))}" for name in sorted(parameters)),
        ]
    )
    digest = hmac.digest(base64.b64decode(key), text.encode(), hashlib.sha256)
    return f"SharedKey {account}:{base64.b64encode(digest).decode()}"


def signed_by(
    *, method: str, account: str, path: str, query: str, headers: Headers, keys: Mapping[str, str]
) -> str | None:
    """The name of the key among `keys` that the request is signed with; None if none fits."""
    given = headers.get("authorization", "").encode()
    for name, key in keys.items():
        wanted = authorization(method=method, account=account, path=path, query=query, headers=headers, key=key)
        if hmac.compare_digest(given, wanted.encode()):
            return name
    return None
