"""Mint the one credential that Sasquash makes itself: a short-lived proof that a key still works."""

from datetime import UTC, datetime
from urllib.parse import quote

from .credential import Credential
from .fingerprint import key_bytes
from .kinds import Kind, Service
from .signature import sign, strings_to_sign

# Known to every service (tables included), in every cloud, and to the storage emulators.
_VERSION = "2019-02-02"
_HOST = "{account}.{service}.core.windows.net"  # in the string-to-sign only the account's name counts


def mint_read_token(*, service: Service, account: str, resource: str, expires: datetime, key: str) -> str:
    """Return the query string of a service SAS: https only, read only, on one resource, until `expires`.

    `resource` is "container/name" for a blob, "share/path" for a file, and the name of a queue or table. `key` is
    base64. Raises ValueError, without repeating the key, when one of them is not what it should be.
    """
    parameters = {
        "se": expires.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "sp": "r",
        "spr": "https",
        "sv": _VERSION,
        **_resource(service, resource),
    }
    unsigned = Credential(
        kind=Kind.SERVICE_SAS,
        host=_HOST.format(account=account, service=service),
        path=resource,
        parameters=tuple(sorted(parameters.items())),
        signature_sha256="0" * 64,
        key_sha256=None,
    )
    (text,) = strings_to_sign(unsigned, account=account)
    signed = parameters | {"sig": sign(text, key_bytes(key))}
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in signed.items())


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
