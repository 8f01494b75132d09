"""Signature verification: recomputes a leaked signature with the keys of an account, to find the one that signed it.

Source: Microsoft REST documentation, "Create an account SAS" and "Create a service SAS", section "Construct the
signature string", version by version; checked against the published client libraries (`tests/unit/sas`).
"""

import base64
import contextlib
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .classify import is_container_name
from .credential import Credential
from .fingerprint import key_bytes, signature_sha256
from .kinds import SNAPSHOT_TIME, Kind, ResourceKind, Service

NEWEST_KNOWN_VERSION = "2026-10-06"
"""The newest version whose strings-to-sign were checked; later ones are tried too, but a failure proves nothing."""

_SERVICE_IN_RESOURCE_SINCE = "2015-02-21"

# Fields in order; "" is an empty last line, "@…" is computed, everything else is the token's own parameter.
_COMMON = ("sp", "st", "se", "@resource", "si")
HEADERS = ("rscc", "rscd", "rsce", "rscl", "rsct")  # of the response, which a token of blobs or files may override
_RANGE = ("spk", "srk", "epk", "erk")
_ACCOUNT = ("@account", "sp", "ss", "srt", "st", "se", "sip", "spr", "sv")

_ACCOUNT_LAYOUTS = (("", (*_ACCOUNT, "")), ("2020-12-06", (*_ACCOUNT, "ses", "")))
_SERVICE_LAYOUTS = {
    Service.BLOB: (
        ("", _COMMON),
        ("2012-02-12", (*_COMMON, "sv")),
        ("2013-08-15", (*_COMMON, "sv", *HEADERS)),
        ("2015-04-05", (*_COMMON, "sip", "spr", "sv", *HEADERS)),
        ("2018-11-09", (*_COMMON, "sip", "spr", "sv", "sr", "@time", *HEADERS)),
        ("2020-12-06", (*_COMMON, "sip", "spr", "sv", "sr", "@time", "ses", *HEADERS)),
    ),
    Service.FILE: (
        ("", (*_COMMON, "sv", *HEADERS)),
        ("2015-04-05", (*_COMMON, "sip", "spr", "sv", *HEADERS)),
    ),
    Service.QUEUE: (
        ("", (*_COMMON, "sv")),
        ("2015-04-05", (*_COMMON, "sip", "spr", "sv")),
    ),
    Service.TABLE: (
        ("", (*_COMMON, "sv", *_RANGE)),
        ("2015-04-05", (*_COMMON, "sip", "spr", "sv", *_RANGE)),
    ),
}


type SignedParts = tuple[str | None, str | None, str | None, bool, tuple[tuple[str, str], ...]]
"""The account, the container and the path in it, whether the path may have been cut, and the parameters."""


class Undecidable(StrEnum):
    """Why signature verification has no result.

    UNKNOWN_VERSION: no key matches, but the token is newer than the strings-to-sign known here. PATH_LOST: the text
    has the host, but not the signed resource. LOOSE: it has neither, the token is unattributed. DELEGATION: signed by
    a key that Azure does not disclose.
    """

    UNKNOWN_VERSION = "unknown_version"
    PATH_LOST = "path_lost"
    LOOSE = "loose"
    DELEGATION = "delegation"


@dataclass(frozen=True, slots=True)
class Verification:
    """The key that signed, or why that can't be determined. Neither: none of the keys signed."""

    key: str | None
    undecidable: Undecidable | None


def verify(credential: Credential, *, account: str, keys: Mapping[str, str]) -> Verification:
    """Return the name of the one of `keys` (name → base64 key) that signed `credential`, or that is it.

    `account` is the account's name, which is part of what is signed. A key that is not base64 fits nothing.
    """
    if credential.kind is Kind.USER_DELEGATION_SAS:
        return Verification(None, Undecidable.DELEGATION)
    secrets = _decoded(keys)
    if credential.kind is Kind.ACCOUNT_KEY:
        for name, secret in secrets:
            if hmac.compare_digest(hashlib.sha256(secret).hexdigest(), credential.key_sha256 or ""):
                return Verification(name, None)
        return Verification(None, None)
    for text in strings_to_sign(credential, account=account):
        for name, secret in secrets:
            if hmac.compare_digest(signature_sha256(sign(text, secret)), credential.signature_sha256 or ""):
                return Verification(name, None)
    return Verification(None, _doubt(credential))


def signed_parts(credential: Credential) -> SignedParts:
    """Return what decides the result of `verify` on a signature: with the same parts, it is the same.

    A container's SAS is verified alike on the URL of each blob in it, and an account SAS on any path.
    """
    address = credential.account, credential.container, credential.resource_path
    return *address, _may_be_cut(credential), credential.parameters


def strings_to_sign(credential: Credential, *, account: str) -> Iterator[str]:
    """Yield what may have been signed to make the SAS `credential`: first what Azure computes; none where it is lost.

    Some clients sign something else now and then. What fits a key was signed with it, either way.
    """
    parameters = dict(credential.parameters)
    if credential.kind is Kind.ACCOUNT_SAS:
        yield filled(_layout(_ACCOUNT_LAYOUTS, credential), parameters | {"@account": account})
        return
    time = parameters.get(SNAPSHOT_TIME.get(parameters.get("sr", ""), ""), "")
    for service in credential.services:
        layout = _layout(_SERVICE_LAYOUTS[service], credential)
        prefix = f"/{service}" if (credential.version or "") >= _SERVICE_IN_RESOURCE_SINCE else ""
        for resource in _resources(credential):
            computed = {"@resource": f"{prefix}/{account}/{resource}", "@time": time}
            yield filled(layout, parameters | computed)


def sign(text: str, secret: bytes) -> str:
    """Return the signature of a string-to-sign: base64 of its HMAC-SHA256 under the decoded key."""
    return base64.b64encode(hmac.digest(secret, text.encode(), hashlib.sha256)).decode()


def _decoded(keys: Mapping[str, str]) -> list[tuple[str, bytes]]:
    secrets = []
    for name, key in keys.items():
        with contextlib.suppress(ValueError):
            secrets.append((name, key_bytes(key)))
    return secrets


def _layout(layouts: Sequence[tuple[str, tuple[str, ...]]], credential: Credential) -> tuple[str, ...]:
    """Return the fields of the newest layout that is not newer than the token; versions compare as texts."""
    version = credential.version or ""
    return next(fields for since, fields in reversed(layouts) if since <= version)


def filled(layout: Sequence[str], values: Mapping[str, str]) -> str:
    """Return the string-to-sign whose fields are those of `layout`; a field without a value is an empty line."""
    return "\n".join(values.get(field, "") for field in layout)


def _resources(credential: Credential) -> Iterator[str]:
    """Yield what may stand behind the account's name in the canonicalized resource."""
    container, path = credential.container, credential.resource_path
    if container is None or (credential.parameter("sr") in SNAPSHOT_TIME and not _has_time(credential)):
        return
    match credential.resource_kind:
        case ResourceKind.TABLE:
            yield container.lower()
            yield container
        case ResourceKind.CONTAINER | ResourceKind.SHARE | ResourceKind.QUEUE:
            yield container
        case ResourceKind.DIRECTORY if path is not None:
            # The path of the root directory is "".
            directory = f"{container}/{path}".rstrip("/")
            yield directory
            yield f"{directory}/"
        case _ if path is not None:
            yield f"{container}/{path}"


def _has_time(credential: Credential) -> bool:
    return any(credential.parameter(name) for name in SNAPSHOT_TIME.values())


def _doubt(credential: Credential) -> Undecidable | None:
    """Return why the result "no key matches" is uncertain, None when it is certain."""
    if not any(True for _ in strings_to_sign(credential, account="")) or _may_be_cut(credential):
        return Undecidable.PATH_LOST if credential.host else Undecidable.LOOSE
    if (credential.version or "") > NEWEST_KNOWN_VERSION:
        return Undecidable.UNKNOWN_VERSION
    return None


def _may_be_cut(credential: Credential) -> bool:
    """A blob SAS on `/name` is a blob of the root container, or one whose path was lost behind the container."""
    return (
        credential.container == "$root"
        and credential.parameter("sr") in ("b", *SNAPSHOT_TIME)
        and "/" not in (credential.path or "/")
        and is_container_name(credential.resource_path or "")
    )
