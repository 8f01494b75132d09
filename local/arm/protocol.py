"""Shared by all ARM operations: error shape, api-versions and JSON bodies.

Error bodies and codes: learn.microsoft.com, "Troubleshoot common Azure deployment errors", and the Resource
Provider Contract (github.com/Azure/azure-resource-manager-rpc, common-api-details).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.requests import Request

from local import json_text
from local.tenant.model import LOCATION, Account, Cloud, Identity

_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")


class ArmError(Exception):
    """An error response `{"error": {"code", "message"[, "details"]}}`. `details`: pairs of code and message."""

    def __init__(self, status: int, code: str, message: str, *, details: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.body: dict[str, Any] = {"code": code, "message": message}
        if details:
            self.body["details"] = [{"code": code, "message": message} for code, message in details]


@dataclass(frozen=True)
class Call:
    """One authorized request, with the resources of its path. `names` are all names in the path, as written."""

    cloud: Cloud
    identity: Identity
    request: Request
    resource_group: str | None
    found: Account | None
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def account(self) -> Account:
        """The storage account of the path, for operations on one account."""
        assert self.found is not None, "the operation's path names no storage account"
        return self.found


def require_api_version(request: Request, resource_type: str, supported: Sequence[str]) -> None:
    """Raise ArmError (400) unless `api-version` is one of `supported`."""
    version = request.query_params.get("api-version", "")
    if not version:
        raise ArmError(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    versions = ", ".join(reversed(supported))
    if not _API_VERSION.fullmatch(version):
        raise ArmError(
            400,
            "InvalidApiVersionParameter",
            f"The api-version '{version}' is invalid. The supported versions are '{versions}'.",
        )
    if version not in supported:
        namespace, _, name = resource_type.partition("/")
        raise ArmError(
            400,
            "NoRegisteredProviderFound",
            f"No registered resource provider found for location '{LOCATION}' and API version '{version}' "
            f"for type '{name}' of '{namespace}'. The supported api-versions are '{versions}'.",
        )


async def read_json(request: Request) -> dict[str, Any]:
    """Return the JSON object of the request. Raises ArmError: 415 for another media type, 400 for other JSON."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ArmError(
            415,
            "UnsupportedMediaType",
            f"The content media type '{media_type or '<null>'}' is not supported. "
            "Only 'application/json' is supported.",
        )
    try:
        body = json_text.parse(await request.body())
    except json_text.InvalidJson as error:
        raise invalid_content(f"The body is invalid: {error}.") from None
    if not isinstance(body, dict):
        raise invalid_content("The body must be a JSON object.")
    return body


def invalid_content(problem: str) -> ArmError:
    """Return the error for a body that is invalid for its operation."""
    return ArmError(
        400,
        "InvalidRequestContent",
        f"The request content was invalid and could not be deserialized: '{problem}'.",
    )


def invalid_value(parameter: str) -> ArmError:
    """Return the storage provider's error for a value out of range, in the body or the query."""
    return ArmError(
        400,
        "InvalidValuesForRequestParameters",
        f"Values for request parameters are invalid: {parameter}.",
    )


def reject_unknown(members: dict[str, Any], known: frozenset[str], *, of: str) -> None:
    """Raise ArmError (400) if `members` has a name outside `known`."""
    for member in members:
        if member not in known:
            raise invalid_content(f"Could not find member '{member}' on object of type '{of}'.")


def timestamp(moment: datetime) -> str:
    """Return a time as the storage resource provider writes it: .NET's round-trip format, seven decimals, UTC."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}0Z"
