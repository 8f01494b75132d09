"""Bodies of requests about secrets, validated as in Key Vault; secrets in the control port.

REST: "Key Vault - Set Secret", "Key Vault - Update Secret"; limits: "About Azure Key Vault secrets".
"""

import hashlib
import re
from datetime import UTC, datetime
from typing import Any

from local.network.hostnames import KEY_VAULT_SUFFIX
from local.tenant.model.vault import SecretVersion, Vault

SECRET_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")

_LARGEST_VALUE = 25 * 1024  # bytes
_LONGEST_CONTENT_TYPE = 255
_MOST_TAGS = 15
_LONGEST_TAG = 512
_LAST_SECOND = 253402300799  # the end of the year 9999
_ATTRIBUTES = frozenset({"enabled", "nbf", "exp"})


class InvalidBody(ValueError):
    """The body is invalid. The message contains no part of a value."""


def read_changes(body: object, *, with_value: bool) -> dict[str, Any]:
    """Return what `body` sets, by field of SecretVersion. Raises InvalidBody.

    `with_value`: the body creates a version and must contain its value; otherwise it must not.
    """
    known = {"contentType", "attributes", "tags"} | ({"value"} if with_value else set())
    members = _object(body, known, "the body")
    changes: dict[str, Any] = {}
    if with_value:
        changes["value"] = _text(members.get("value"), "value", longest=_LARGEST_VALUE)
    if members.get("contentType") is not None:
        changes["content_type"] = _text(members["contentType"], "contentType", longest=_LONGEST_CONTENT_TYPE)
    if members.get("tags") is not None:
        changes["tags"] = _tags(members["tags"])
    if members.get("attributes") is not None:
        changes |= _attributes(_object(members["attributes"], _ATTRIBUTES, "attributes"))
    return changes


def _attributes(members: dict[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if members.get("enabled") is not None:
        if not isinstance(members["enabled"], bool):
            raise InvalidBody("Property enabled has invalid value")
        changes["enabled"] = members["enabled"]
    for name, field in (("nbf", "not_before"), ("exp", "expires")):
        if members.get(name) is not None:
            changes[field] = _moment(members[name], name)
    if "not_before" in changes and "expires" in changes and changes["expires"] <= changes["not_before"]:
        raise InvalidBody("Property exp must be after nbf")
    return changes


def _moment(value: object, name: str) -> datetime:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LAST_SECOND:
        raise InvalidBody(f"Property {name} has invalid value")
    return datetime.fromtimestamp(value, UTC)


def _tags(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > _MOST_TAGS:
        raise InvalidBody(f"Property tags must be an object with at most {_MOST_TAGS} members")
    return {
        _text(name, "tags", longest=_LONGEST_TAG): _text(text, "tags", longest=_LONGEST_TAG)
        for name, text in value.items()
    }


def _text(value: object, name: str, *, longest: int) -> str:
    if not isinstance(value, str) or len(value.encode()) > longest:
        raise InvalidBody(f"Property {name} has invalid value")
    return value


def _object(value: object, known: set[str] | frozenset[str], name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidBody(f"{name} must be an object")
    unknown = set(value) - known
    if unknown:
        raise InvalidBody(f"Property {min(unknown)} of {name} is unknown")
    return value


def create(vaults: dict[str, Vault], body: dict[str, Any]) -> dict[str, str]:
    """Create a version of a secret for the control port; return its ids. Raises InvalidBody.

    `body` is the body of Set Secret with "vault" and "name" added.
    """
    members = dict(body)
    vault = vaults.get(str(members.pop("vault", next(iter(vaults), ""))))
    name = members.pop("name", None)
    if vault is None:
        raise InvalidBody(f"vault must be one of {', '.join(vaults)}")
    if not isinstance(name, str) or not SECRET_NAME.fullmatch(name):
        raise InvalidBody("name must have 1 to 127 letters, digits and hyphens")
    made = SecretVersion(**read_changes(members, with_value=True))
    vault.add(name, made)
    return {"id": f"https://{vault.name}.{KEY_VAULT_SUFFIX}/secrets/{name}", "version": made.version}


def state(vault: Vault) -> dict[str, Any]:
    """Return the secrets of a vault for GET /state: versions, oldest first, with the SHA-256 of each value."""
    return {
        secret.name: [
            {
                "version": version.version,
                "enabled": version.enabled,
                "created": version.created,
                "sha256": hashlib.sha256(version.value.encode()).hexdigest(),
            }
            for version in secret.versions
        ]
        for secret in vault.secrets.values()
    }
