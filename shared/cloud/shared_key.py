"""Shared Key authorization: the Authorization header of a request that an account key signs. Pure.

Source: REST, "Authorize with Shared Key": for blob, queue and file the format of 2015-02-21 and later, for table the
one of its own, which leaves out the headers and all of the query but `comp`.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

from shared.sas import Service
from shared.sas.fingerprint import key_bytes
from shared.sas.signature import sign

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
    *, service: Service, account: str, method: str, url: str, headers: Mapping[str, str], key: str
) -> str:
    """Return the Authorization header. `headers` are all that are sent, x-ms-date among them; `key` is base64.

    Raises ValueError, without repeating the key, when it is not base64.
    """
    text = string_to_sign(service=service, account=account, method=method, url=url, headers=headers)
    return f"SharedKey {account}:{sign(text, key_bytes(key))}"


def string_to_sign(*, service: Service, account: str, method: str, url: str, headers: Mapping[str, str]) -> str:
    """Return what is signed. The path and the query of `url` are as they are sent, percent-encoded where need be."""
    given = {name.lower(): value.strip() for name, value in headers.items()}
    parts = urlsplit(url)
    query = _parameters(parts.query)
    resource = f"/{account}{parts.path}"
    if service is Service.TABLE:
        comp = f"?comp={query['comp']}" if "comp" in query else ""
        signed = (given.get(name, "") for name in ("content-md5", "content-type", "x-ms-date"))
        return "\n".join((method, *signed, f"{resource}{comp}"))
    if given.get("content-length") == "0":
        del given["content-length"]
    extensions = sorted(name for name in given if name.startswith("x-ms-"))
    return "\n".join(
        (
            method,
            *(given.get(name, "") for name in _SIGNED_HEADERS),
            *(f"{name}:{given[name]}" for name in extensions),
            resource,
            *(f"{name}:{query[name]}" for name in sorted(query)),
        )
    )


def _parameters(query: str) -> dict[str, str]:
    """Return the parameters by their names in lower case; this project sends none twice."""
    pairs: Iterable[tuple[str, str, str]] = (pair.partition("=") for pair in query.split("&") if pair)
    return {unquote(name).lower(): unquote(value) for name, _, value in pairs}
