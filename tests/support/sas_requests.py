"""Requests with a SAS, as the stand-in of storage receives them."""

from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers

from local.network.hostnames import StorageHost
from local.storage.access import StorageRequest
from local.storage.sas.token import Token, read


def sas_request(url: str, *, account: str, service: str, method: str = "GET") -> StorageRequest:
    """Return the request for an absolute URL, whatever host it names."""
    parts = urlsplit(url)
    host = StorageHost(account=account, service=service, is_secondary=False)
    return StorageRequest(host, method, parts.path, parts.query, Headers({}))


def token_of(path: str, query: str, *, account: str = "models", service: str = "blob") -> Token:
    """Return the token that storage reads of the decoded `path` and the `query`. Raises Refusal."""
    return read(sas_request(f"https://host/{quote(path)}?{query}", account=account, service=service))
