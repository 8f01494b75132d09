"""Host names of Azure Storage: which account, which service, which path inside the account.

Source: Microsoft Learn, "Storage account overview" (endpoints, DNS zone endpoints, routing preference), "Use private
endpoints for Azure Storage"; REST documentation, "URI syntax" of the emulator for path-style URLs. Only the host's
spelling is judged here: whose account it is, and which account a custom domain belongs to, only Azure Resource
Manager knows.
"""

import base64
import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

from .kinds import Service

EMULATOR_ACCOUNT = "devstoreaccount1"
"""The storage emulator's account: its key is public, and everything signed with it is a false alarm."""

ACCOUNT_NAME = re.compile(r"[a-z0-9]{3,24}")
LONGEST_NAME = 24
_LONGEST_IN_BASE64 = 32

# The public cloud, US Government, China, Germany (closed), and the clouds that only their own tenants can reach.
_CLOUDS = (
    r"windows\.net|usgovcloudapi\.net|chinacloudapi\.cn|cloudapi\.de|eaglex\.ic\.gov|microsoft\.scloud"
    r"|sovcloud-api\.[a-z]{2}"
)
_STORAGE_HOST = re.compile(
    r"(?P<account>[a-z0-9]{3,24})(?P<routing>(?:-(?:secondary|ipv6|dualstack|microsoftrouting|internetrouting))*)"
    r"(?:\.privatelink)?(?:\.z[0-9]{1,2})?(?:\.privatelink)?"
    r"\.(?P<service>blob|queue|table|file|dfs|web)"
    rf"\.(?:core\.(?:{_CLOUDS})|storage\.azure\.net|localhost)"
)
_URL = re.compile(
    r"(?:https?|(?P<hadoop>wasbs?|abfss?))://(?:(?P<user>[^/?#@\s]{0,256})@)?(?P<host>\[[0-9a-fA-F:.]{2,45}\]|[^/?#:@\s]{1,256})(?::[0-9]{0,5})?"
    r"(?:/(?P<path>[^?#]*)|(?=[?#]|\Z))",
    re.IGNORECASE,
)
_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
# Data Lake and static website endpoints are other endpoints of blobs, and sign as blobs.
_SERVICES = {"dfs": Service.BLOB, "web": Service.BLOB}
# Same token format, other string-to-sign: the table interface of Cosmos DB.
_FOREIGN_SUFFIXES = (".cosmos.azure.com", ".documents.azure.com")


@dataclass(frozen=True, slots=True)
class Location:
    """The account and service of a host and a path. Both are None where only a custom domain is known.

    `path` is inside the account (without the account's name where the URL was path-style), None when empty.
    """

    account: str | None
    service: Service | None
    secondary: bool
    path: str | None


def account_name(written: str) -> str:
    """Return the account that a name stands for, in lower case.

    A scanner decodes the key of a Kubernetes secret, and leaves the name beside it in base64, which has capitals. No
    account's name has any.
    """
    return name_in_base64(written) or written.lower()


def name_in_base64(written: str) -> str | None:
    """Return the account's name that `written` encodes, None where it encodes none."""
    if len(written) > _LONGEST_IN_BASE64 or written == written.lower():
        return None
    text = written.rstrip("=")
    try:
        name = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("ascii")
    except ValueError:
        return None
    return name if ACCOUNT_NAME.fullmatch(name) else None


def is_host(text: str) -> bool:
    """Whether `text` is a lower-case host name or a bare IP address."""
    return _is_address(text) or _HOST_NAME.fullmatch(text) is not None


def is_foreign(host: str) -> bool:
    """Whether `host` uses tokens that resemble a SAS."""
    return host.endswith(_FOREIGN_SUFFIXES)


def is_path_style(host: str) -> bool:
    """Whether the first path segment names the account: an IP address, or a name without a dot."""
    return "." not in host or _is_address(host)


@lru_cache(maxsize=1024)  # a credential asks for the same place again and again
def locate(host: str | None, path: str | None) -> Location:
    """Return what `host` (lower case, no port) and `path` (decoded, no leading "/") identify: account and service."""
    if host is None:
        return Location(None, None, secondary=False, path=path or None)
    match = _STORAGE_HOST.fullmatch(host)
    if match is not None:
        label = match["service"]
        service = _SERVICES.get(label) or Service(label)
        return Location(match["account"], service, secondary="-secondary" in match["routing"], path=path or None)
    if is_path_style(host) and path:
        first, _, rest = path.partition("/")
        account, secondary = first.removesuffix("-secondary"), first.endswith("-secondary")
        if ACCOUNT_NAME.fullmatch(account):
            return Location(account, None, secondary=secondary, path=rest or None)
    return Location(None, None, secondary=False, path=path or None)


def with_service(host: str, service: Service) -> str:
    """Return the sister host of a storage `host` that serves `service`."""
    if locate(host, None).service in (None, service):
        return host
    return re.sub(r"\.(?:blob|queue|table|file|dfs|web)\.", f".{service.value}.", host, count=1)


def split_url(url: str) -> tuple[str | None, str]:
    """Return the lower-case host of an absolute URL, None when it is none, and the path as it stands without "/".

    Hadoop's URLs have the container before the host (`abfss://container@account.dfs…/path`), here it begins the path.
    """
    match = _URL.match(url)
    if match is None:
        return None, ""
    host = match["host"].strip("[]").lower().rstrip(".")
    path = match["path"] or ""
    if match["hadoop"] and match["user"]:
        path = f"{match['user']}/{path}"
    return (host if is_host(host) else None), path


def _is_address(text: str) -> bool:
    if ":" not in text and not text[-1:].isdigit():
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
