"""Determines the kind of a token and its signed resource from its parameters, host and path. It needs no keys.

Source: Microsoft REST documentation, "Create an account SAS | a service SAS | a user delegation SAS": the fields of
the token and the canonicalized resource.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from .hosts import is_foreign, is_path_style, locate
from .kinds import SERVICE_LETTERS, SIGNED_RESOURCES, Kind, ResourceKind, Service

_VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,7})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_LETTERS = re.compile(r"[A-Za-z]+")
_CONTAINER_NAME = re.compile(r"[a-z0-9](?:-?[a-z0-9]){0,62}|\$[a-z]{2,62}")
# Keeps the spelling of a table's name in its URL; the signature has it in lower case.
_TABLE_SEGMENT = re.compile(r"\$?[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Resource:
    """The signed resource. `container` is the container, share, queue or table; None where the text lacks it."""

    service: Service | None
    kind: ResourceKind | None
    container: str | None
    path: str | None


def kind_of(parameters: Mapping[str, str], *, host: str | None) -> Kind | None:
    """Return the kind of the token with these decoded `parameters`; None when no storage service would accept it."""
    if (host is not None and is_foreign(host)) or not _well_formed(parameters):
        return None
    if "ss" in parameters or "srt" in parameters:
        return Kind.ACCOUNT_SAS if _opens_an_account(parameters) else None
    if _service_of_token(parameters, host=host) is None:
        return None
    if "sv" not in parameters and not _is_legacy(parameters, host=host):
        return None
    if "skoid" in parameters:
        return Kind.USER_DELEGATION_SAS if "sktid" in parameters else None
    return Kind.POLICY_SAS if "si" in parameters else Kind.SERVICE_SAS


def resource_of(kind: Kind, parameters: Mapping[str, str], *, host: str | None, path: str | None) -> Resource:
    """Return what the token or key covers; `path` is as in the URL, decoded, without a leading "/"."""
    if kind is Kind.ACCOUNT_KEY:
        return Resource(None, ResourceKind.ACCOUNT, None, None)
    if kind is Kind.ACCOUNT_SAS:
        letters = set(parameters["ss"])
        service = SERVICE_LETTERS[letters.pop()] if len(letters) == 1 else Service.MULTIPLE
        return Resource(service, ResourceKind.ACCOUNT, None, None)
    location = locate(host, path)
    segments = location.path.split("/") if location.path else []
    if "sr" in parameters:
        return _named_by_sr(parameters, segments)
    if "tn" in parameters:
        return Resource(Service.TABLE, ResourceKind.TABLE, _table_name(parameters["tn"], segments), None)
    return Resource(Service.QUEUE, ResourceKind.QUEUE, segments[0] if segments else None, None)


def is_container_name(name: str) -> bool:
    """Whether a blob container could have this name ("Naming containers, blobs, and metadata")."""
    return len(name) <= 63 and _CONTAINER_NAME.fullmatch(name) is not None


def moment(text: str | None) -> datetime | None:
    """Return a `st`, `se`, `skt` or `ske` value in UTC; None when it is missing or no date of the service's forms."""
    if text is None or not _MOMENT.fullmatch(text):
        return None
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _well_formed(parameters: Mapping[str, str]) -> bool:
    """Whether version and permissions are those of storage: Logic Apps has `sv=1.0` and `sp=/triggers/…`."""
    version, permissions = parameters.get("sv"), parameters.get("sp")
    return (version is None or _VERSION.fullmatch(version) is not None) and (
        permissions is None or _LETTERS.fullmatch(permissions) is not None
    )


def _opens_an_account(parameters: Mapping[str, str]) -> bool:
    services, types = parameters.get("ss", ""), parameters.get("srt", "")
    return (
        "sv" in parameters
        # The older Java client (com.microsoft.azure:azure-storage) repeats `srt` as an `sr` that it does not sign.
        and parameters.get("sr", types) == types
        and bool(services)
        and set(services) <= set(SERVICE_LETTERS)
        and bool(types)
        and set(types) <= set("sco")
    )


def _service_of_token(parameters: Mapping[str, str], *, host: str | None) -> Service | None:
    """A token without `sr` and `tn` is a queue's; on a host that is not a queue's it is something else."""
    if "sr" in parameters and parameters["sr"] != "q":
        signed = SIGNED_RESOURCES.get(parameters["sr"])
        return signed[0] if signed else None
    wanted = Service.TABLE if "tn" in parameters else Service.QUEUE
    if host is None or is_path_style(host):
        return wanted if "tn" in parameters or {"sp", "si"} & parameters.keys() else None
    # Only blobs can have a custom domain, so any other host must say which service it is.
    return wanted if locate(host, None).service is wanted else None


def _is_legacy(parameters: Mapping[str, str], *, host: str | None) -> bool:
    """Before version 2012-02-12 there was no `sv`, and SAS only for blobs and containers."""
    return (
        parameters.get("sr") in ("b", "c")
        and locate(host, None).service is Service.BLOB
        and ("si" in parameters or moment(parameters.get("se")) is not None)
    )


def _named_by_sr(parameters: Mapping[str, str], segments: list[str]) -> Resource:
    service, kind = SIGNED_RESOURCES[parameters["sr"]]
    container = segments[0] if segments else None
    rest = "/".join(segments[1:]) or None
    match kind:
        case ResourceKind.SHARE | ResourceKind.QUEUE:
            return Resource(service, kind, container, None)
        case ResourceKind.CONTAINER:
            in_root = container is not None and rest is None and not is_container_name(container)
            return Resource(service, kind, "$root" if in_root else container, None)
        case ResourceKind.DIRECTORY:
            return Resource(service, kind, container, _directory(parameters.get("sdd", ""), segments[1:]))
        case ResourceKind.FILE:
            return Resource(service, kind, container, rest)
        case _:
            # A blob of the root container is addressed without the container's name.
            return (
                Resource(service, kind, "$root", container)
                if container and not rest
                else Resource(service, kind, container, rest)
            )


def _directory(depth: str, segments: list[str]) -> str | None:
    """Return the first `depth` segments; "" for the root, None when the text has fewer."""
    if not depth.isascii() or not depth.isdecimal() or len(depth) > 3:
        return None
    wanted = int(depth)
    return "/".join(segments[:wanted]) if len(segments) >= wanted else None


def _table_name(signed: str, segments: list[str]) -> str:
    spelled = _TABLE_SEGMENT.match(segments[0]) if segments else None
    return spelled[0] if spelled and spelled[0].lower() == signed.lower() else signed
