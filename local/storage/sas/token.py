"""Reads the SAS of a request as Azure does: field by field, by the version that it names, strictly.

Sources (learn.microsoft.com/rest/api/storageservices): "Create an account SAS", "Create a service SAS", "Create a
user delegation SAS", each with the versions of its fields; "Versioning for the Azure Storage services". What Azure
says to a token that it can't read is from public reports: azure-sdk-for-net#22489 and AzureStorageExplorer#8703 (a
version that the service does not know), azure-storage-node#182 (permissions out of order, "Signature fields not well
formed.").
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote_plus

from local.storage.access import StorageRequest
from local.storage.errors import Refusal
from local.storage.permissions import ACCOUNT_PERMISSIONS, are_permissions
from local.storage.times import moment

NOT_WELL_FORMED = "Signature fields not well formed."
_WRONG_VERSION = "sv is either not in the correct format or is not equal or later than version 2012-02-12"

# "Versioning for the Azure Storage services", and the versions that Microsoft's client libraries sign.
VERSIONS = frozenset(
    {
        *("2012-02-12", "2013-08-15", "2014-02-14", "2015-02-21", "2015-04-05", "2015-07-08"),
        *("2015-12-11", "2016-05-31", "2017-04-17", "2017-07-29", "2017-11-09", "2018-03-28"),
        *("2018-06-17", "2018-11-09", "2019-02-02", "2019-07-07", "2019-10-10", "2019-12-12"),
        *("2020-02-10", "2020-04-08", "2020-06-12", "2020-08-04", "2020-10-02", "2020-12-06"),
        *("2021-02-12", "2021-04-10", "2021-06-08", "2021-08-06", "2021-10-04", "2021-12-02"),
        *("2022-11-02", "2023-01-03", "2023-05-03", "2023-08-03", "2023-11-03", "2024-02-04"),
        *("2024-05-04", "2024-08-04", "2024-11-04", "2025-01-05", "2025-05-05", "2025-07-05"),
        *("2025-11-05", "2026-02-06", "2026-04-06", "2026-06-06", "2026-10-06", "2026-12-06"),
    }
)

_ACCOUNT_SAS_SINCE = "2015-04-05"
_SERVICE_SAS_SINCE = {"blob": "2012-02-12", "queue": "2012-02-12", "table": "2012-02-12", "file": "2015-02-21"}
_DELEGATION_SAS_SINCE = {"blob": "2018-11-09", "queue": "2025-07-05", "table": "2025-07-05", "file": "2025-07-05"}
_RESTRICTED_SINCE = "2015-04-05"  # sip and spr; older versions neither sign nor heed them
# By service: the resources that can be signed, with the first version that has them.
_RESOURCES = {
    "blob": {"b": "", "c": "", "bs": "2018-11-09", "bv": "2018-11-09", "d": "2020-02-10"},
    "file": {"f": "2015-02-21", "s": "2015-02-21"},
}

SERVICE_LETTERS = {"blob": "b", "queue": "q", "table": "t", "file": "f"}

SNAPSHOT_TIME = {"bs": "snapshot", "bv": "versionid"}
"""By signed resource: the parameter of the URL whose value is signed as the snapshot time."""

FIELDS = frozenset(
    {
        *("sv", "sr", "si", "st", "se", "sp", "sip", "spr", "ss", "srt", "ses", "sdd"),
        *("tn", "spk", "srk", "epk", "erk", "rscc", "rscd", "rsce", "rscl", "rsct"),
        *("skoid", "sktid", "skt", "ske", "sks", "skv"),
        *("skdutid", "sduoid", "saoid", "suoid", "scid", "srh", "srq"),
    }
)
"""Every parameter of a token but its signature."""

DELEGATION_KEY = ("skoid", "sktid", "skt", "ske", "sks", "skv")
_VERSION_FORM = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DEPTH = re.compile(r"\d{1,3}", re.ASCII)
_TABLE_IN_PATH = re.compile(r"([A-Za-z][A-Za-z0-9]*)(?:\(.*\))?")


class Kind(StrEnum):
    """Which kind of key signs it. A service SAS may name a stored access policy."""

    ACCOUNT = "account SAS"
    SERVICE = "service SAS"
    DELEGATION = "user delegation SAS"


@dataclass(frozen=True, slots=True)
class Token:
    """A well-formed SAS. `resource` is the signed path behind the account's name; None for a whole account.

    `version` is empty for a token without `sv`. `snapshot` is the value of the URL that a snapshot or version signs.
    """

    kind: Kind
    service: str
    version: str
    fields: Mapping[str, str]
    signature: str = field(repr=False)
    resource: str | None
    snapshot: str

    def get(self, name: str) -> str:
        """Return the decoded value of a parameter; an empty text where the token has none."""
        return self.fields.get(name, "")

    @property
    def container(self) -> str:
        """The container, share, queue or table that it is for; empty for a whole account."""
        return (self.resource or "").partition("/")[0]


def decoded(query: str) -> dict[str, str]:
    """Return the decoded parameters of a query, of several with one name the first. Azure reads "+" as a space."""
    pairs: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        pairs.setdefault(unquote_plus(name), unquote_plus(value))
    return pairs


def read(request: StorageRequest) -> Token:
    """Return the SAS of the request. Raises Refusal (AuthenticationFailed) for one that Azure can't read."""
    given = decoded(request.query)
    fields = {name: value for name, value in given.items() if name in FIELDS and value}
    service = "blob" if request.host.service in ("dfs", "web") else request.host.service
    kind = _kind(fields)
    version = _version(fields, kind, service)
    _check_restrictions(fields, version)
    if kind is Kind.ACCOUNT:
        _check_account(fields)
        resource = None
    else:
        resource = _resource(fields, request, service, version)
        if not are_permissions(fields.get("sp", ""), service):
            raise _refused()
    if kind is Kind.DELEGATION:
        _check_delegation(fields, service)
    signed = given.get(SNAPSHOT_TIME.get(fields.get("sr", ""), ""), "")
    return Token(kind, service, version, fields, given.get("sig", ""), resource, signed)


def _refused(detail: str = NOT_WELL_FORMED) -> Refusal:
    return Refusal("AuthenticationFailed", detail)


def _kind(fields: Mapping[str, str]) -> Kind:
    if "ss" in fields or "srt" in fields:
        return Kind.ACCOUNT
    return Kind.DELEGATION if any(name in fields for name in DELEGATION_KEY) else Kind.SERVICE


def _version(fields: Mapping[str, str], kind: Kind, service: str) -> str:
    """Return the token's version. Before 2012-02-12 there was none, and SAS for blobs and containers only."""
    version = fields.get("sv", "")
    if not version:
        if kind is Kind.SERVICE and service == "blob" and fields.get("sr") in ("b", "c"):
            return version
        raise _refused(_WRONG_VERSION)
    since = {
        Kind.ACCOUNT: _ACCOUNT_SAS_SINCE,
        Kind.SERVICE: _SERVICE_SAS_SINCE.get(service, ""),
        Kind.DELEGATION: _DELEGATION_SAS_SINCE.get(service, ""),
    }[kind]
    if not _VERSION_FORM.fullmatch(version) or version not in VERSIONS:
        raise _refused(_WRONG_VERSION)
    if version < since:
        raise _refused()
    return version


def _check_restrictions(fields: Mapping[str, str], version: str) -> None:
    """Check the form of times, addresses and protocols."""
    if any(fields.get(name) and moment(fields[name]) is None for name in ("st", "se")):
        raise _refused()
    if version < _RESTRICTED_SINCE:
        return
    if fields.get("spr", "https") not in ("https", "https,http"):
        raise _refused()
    if "sip" in fields and address_range(fields["sip"]) is None:
        raise _refused()


def address_range(text: str) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address] | None:
    """Return the first and last address of `sip`, an IPv4 address or two with "-" between them; None for others."""
    first, dash, last = text.partition("-")
    try:
        start, end = ipaddress.IPv4Address(first), ipaddress.IPv4Address(last if dash else first)
    except ValueError:
        return None
    return (start, end) if start <= end else None


def _check_account(fields: Mapping[str, str]) -> None:
    """Check the fields that only an account SAS has. It knows no stored access policies: all of them are required."""
    allowed = {"ss": "bqtf", "srt": "sco", "sp": ACCOUNT_PERMISSIONS}
    for name, letters in allowed.items():
        if name not in fields:
            raise _refused(f"{name} is mandatory. Cannot be empty")
        if not set(fields[name]) <= set(letters) or len(set(fields[name])) < len(fields[name]):
            raise _refused()
    if "se" not in fields:
        raise _refused("se is mandatory. Cannot be empty")


def _check_delegation(fields: Mapping[str, str], service: str) -> None:
    """Check the fields of the key; a stored access policy can't be used with it."""
    missing = next((name for name in (*DELEGATION_KEY, "se", "sp") if name not in fields), None)
    if missing is not None:
        raise _refused(f"{missing} is mandatory. Cannot be empty")
    if any(moment(fields[name]) is None for name in ("skt", "ske")) or "si" in fields:
        raise _refused()
    if fields["sks"] != SERVICE_LETTERS.get(service) or fields["skv"] not in VERSIONS:
        raise _refused()


def _resource(fields: Mapping[str, str], request: StorageRequest, service: str, version: str) -> str:
    """Return the signed path behind the account's name: what of the URL the token claims to be for."""
    segments = request.decoded_path.lstrip("/").split("/")
    if service == "table":
        return _table(fields, segments[0])
    if service == "queue":
        return segments[0]
    kinds = _RESOURCES.get(service, {})
    kind = fields.get("sr", "")
    if kind not in kinds or (version and version < kinds[kind]):
        raise _refused("sr is mandatory. Cannot be empty" if not kind else NOT_WELL_FORMED)
    if service == "blob" and len(segments) == 1 and request.parameter("restype") != "container":
        segments = ["$root", *segments]  # a blob of the root container has no container in its URL
    if kind == "d":
        return _directory(fields.get("sdd", ""), segments)
    return segments[0] if kind in ("c", "s") else "/".join(segments)


def _table(fields: Mapping[str, str], segment: str) -> str:
    """Return the table that is signed, in lower case. It must be the table of the URL."""
    name = fields.get("tn", "")
    in_path = _TABLE_IN_PATH.fullmatch(segment)
    if not name:
        raise _refused("tn is mandatory. Cannot be empty")
    if any(row in fields and partition not in fields for row, partition in (("srk", "spk"), ("erk", "epk"))):
        raise _refused()
    if in_path is not None and in_path[1] != "Tables" and in_path[1].lower() != name.lower():
        raise _refused("Signature did not match.")
    return name.lower()


def _directory(depth: str, segments: list[str]) -> str:
    """Return the signed directory: the first `depth` levels of the URL, which has at least as many."""
    if not _DEPTH.fullmatch(depth):
        raise _refused("sdd is mandatory. Cannot be empty" if not depth else NOT_WELL_FORMED)
    levels = int(depth)
    if len(segments) - 1 < levels:
        raise _refused("Signature did not match.")
    return "/".join(segments[: levels + 1])
