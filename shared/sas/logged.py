"""Reads the URL of a request as the storage logs have it: the whole token, but for its signature.

Source: Azure Monitor Logs reference, "StorageBlobLogs" (Uri); "Best practices for monitoring Azure Blob Storage": the
value of `sig` is masked, and AuthenticationHash has the SHA-256 of the signature. With both, a signature can be
verified as that of a leak.
"""

from collections.abc import Iterator, Mapping

from .credential import Credential
from .hosts import locate, split_url
from .leak import MOST_OTHERS
from .normalize import percent_decoded
from .tokens import sas_of
from .values import parameter_readings


def credentials_of_logged_url(url: str, *, account: str, signature_sha256: str) -> tuple[Credential, ...]:
    """Return the SAS of a logged request to `account` in each of its readings, the likeliest first.

    `signature_sha256` is 64 lower-case hex characters. None where the URL has no SAS, or is one of another account.
    What clients request is hostile text: a reading says nothing before its signature is verified.
    """
    address, _, query = url.partition("?")
    host, written = split_url(address)
    if host is None or locate(host, percent_decoded(written)).account not in (None, account):
        return ()
    found = (
        sas_of(parameters, host=host, path=path, digest=signature_sha256)
        for parameters in parameter_readings(_raw(query), layers=1)
        for path in _paths(written)
    )
    return tuple(dict.fromkeys(each for each in found if each is not None))[: MOST_OTHERS + 1]


def _raw(query: str) -> Mapping[str, str]:
    """Return the query's values as written, by name: the first of each."""
    raw: dict[str, str] = {}
    for pair in query.partition("#")[0].split("&"):
        name, equals, value = pair.partition("=")
        if equals:
            raw.setdefault(name, value)
    return raw


def _paths(written: str) -> Iterator[str | None]:
    """Yield what the path may be: percent-encoded once, as URLs are, or twice, or as some clients write it."""
    decoded = percent_decoded(written)
    different = dict.fromkeys((decoded, written, percent_decoded(decoded)))
    yield from (path or None for path in different)
