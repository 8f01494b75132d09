"""Mints verification tokens: short-lived SAS that show whether a key or a stored access policy still works."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .credential import Credential
from .fingerprint import key_bytes
from .kinds import Kind, Service
from .leak import query_string
from .signature import HEADERS, filled, sign, strings_to_sign

# Known to every service (tables included), in every cloud, and to the storage emulators.
_VERSION = "2019-02-02"
_HOST = "{account}.{service}.core.windows.net"  # in the string-to-sign only the account's name counts

_DELEGATION_VERSION = "2020-12-06"
# REST, "Create a user delegation SAS", section "Version 2020-12-06 and later".
_DELEGATION_LAYOUT = (
    *("sp", "st", "se", "@resource"),
    *("skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid"),
    *("sip", "spr", "sv", "sr", "@time", "ses", *HEADERS),
)


@dataclass(frozen=True, slots=True)
class DelegationKey:
    """A user delegation key, each field as text, as the service gives it (REST, "Get User Delegation Key").

    `start`, `expiry`, `service` ("b") and `version` are the answer's SignedStart, SignedExpiry, SignedService and
    SignedVersion; `object_id` and `tenant_id` are whose key it is; `value` is base64.
    """

    object_id: str
    tenant_id: str
    start: str
    expiry: str
    service: str
    version: str
    value: str = field(repr=False)


def mint_read_token(
    *,
    service: Service,
    account: str,
    resource: str,
    starts: datetime | None,
    expires: datetime | None,
    key: str,
    policy: str | None = None,
    permissions: str | None = "r",
    without_start: bool = False,
) -> str:
    """Return the query string of a service SAS: https only, on one resource, read only by default.

    `resource` is "container/name" for a blob, "share/path" for a file, and the name of a queue or table. `key` is
    base64. `starts`, `expires` or `permissions` is None where the stored access policy `policy` has it: Azure refuses
    a token that repeats a field of its policy. Without a policy all three are needed: a SAS expiration policy of the
    account may require a start. Only a token that is to violate such a policy is one `without_start`: its `starts` is
    None. Raises ValueError, which does not quote the key, when an argument is invalid.
    """
    lacks_start = starts is None and not without_start
    if policy is None and (lacks_start or expires is None or permissions is None):
        raise ValueError("A token without a stored access policy needs a period and permissions of its own.")
    parameters = _present(
        {
            "st": None if starts is None else _moment(starts),
            "se": None if expires is None else _moment(expires),
            "sp": permissions,
            "si": policy,
            "spr": "https",
            "sv": _VERSION,
            **_resource(service, resource),
        }
    )
    kind = Kind.SERVICE_SAS if policy is None else Kind.POLICY_SAS
    unsigned = _unsigned(kind, service, account=account, resource=resource, parameters=parameters)
    return _signed(parameters, next(strings_to_sign(unsigned, account=account)), key)


def mint_delegation_token(
    *, account: str, resource: str, starts: datetime, expires: datetime, key: DelegationKey
) -> str:
    """Return the query string of a user delegation SAS: https only, read only, on the blob `resource`.

    `resource` is "container/name". Raises ValueError, without repeating the key's value, when something is not what
    it should be.
    """
    parameters = {
        "st": _moment(starts),
        "se": _moment(expires),
        "sp": "r",
        "spr": "https",
        "sr": "b",
        "sv": _DELEGATION_VERSION,
        "skoid": key.object_id,
        "sktid": key.tenant_id,
        "skt": key.start,
        "ske": key.expiry,
        "sks": key.service,
        "skv": key.version,
    }
    # Nothing is read off it: what may not stand in a token, such as a line feed, is refused here.
    _unsigned(Kind.USER_DELEGATION_SAS, Service.BLOB, account=account, resource=resource, parameters=parameters)
    text = filled(_DELEGATION_LAYOUT, parameters | {"@resource": f"/blob/{account}/{resource}"})
    return _signed(parameters, text, key.value)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _present(parameters: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value is not None}


def _unsigned(
    kind: Kind, service: Service, *, account: str, resource: str, parameters: Mapping[str, str]
) -> Credential:
    return Credential(
        kind=kind,
        host=_HOST.format(account=account, service=service),
        path=resource,
        parameters=tuple(sorted(parameters.items())),
        signature_sha256="0" * 64,
        key_sha256=None,
    )


def _signed(parameters: Mapping[str, str], text: str, key: str) -> str:
    return query_string((*parameters.items(), ("sig", sign(text, key_bytes(key)))))


def _resource(service: Service, resource: str) -> dict[str, str]:
    match service:
        case Service.BLOB:
            return {"sr": "b"}
        case Service.FILE:
            return {"sr": "f"}
        case Service.TABLE:
            return {"tn": resource}
        case Service.QUEUE:
            return {}
        case _:
            raise ValueError("A token opens one service: blob, file, queue or table.")
