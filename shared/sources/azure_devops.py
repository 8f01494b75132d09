"""GitHub Advanced Security for Azure DevOps: a service hook names an alert, which is read and closed over its API.

learn.microsoft.com: "Service hooks events" (advanced security), REST "Advanced Security - Alerts" (Get, Update).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.cloud.http import Rest
from shared.domain.alert import AlertReference, AlertSource, InvalidAlert
from shared.domain.finding import Finding, in_text
from shared.errors import Blocked
from shared.sources.entries import Alert, Entry, Invalid, Skip, Skipped, list_of, object_of, text_of
from shared.sources.findings import Found

BASE_URL = "https://advsec.dev.azure.com"
SCOPE = "499b84ac-1321-427f-aa17-267ca6975798/.default"  # Azure DevOps, in every tenant

_EVENTS = ("ms.vss-alerts.alert-created-event", "ms.vss-alerts.alert-state-changed-event")
_VERSION = {"api-version": "7.2-preview.1"}
_DEEPEST = 4
_NAMING = frozenset({"accountname", "account", "storageaccount", "accountkey"})


def read(payload: object, *, organization: str) -> Entry:
    """Return the entry of a service hook: an alert, if it is an active one about a secret."""
    if not isinstance(payload, Mapping):
        return Invalid("The payload is not an object.")
    resource = object_of(payload, "resource")
    if payload.get("eventType") not in _EVENTS or resource.get("state", "active") != "active":
        return Skipped(Skip.OTHER_EVENT)
    if resource.get("alertType") != "secret":
        return Skipped(Skip.OTHER_SECRET)
    project = text_of(object_of(object_of(payload, "resourceContainers"), "project"), "id")
    repository = text_of(resource, "repositoryId") or text_of(object_of(resource, "repository"), "id")
    number = resource.get("alertId")
    if not isinstance(number, int) or isinstance(number, bool) or project is None or repository is None:
        return Invalid("`resource.alertId`, `resource.repositoryId` or `resourceContainers.project.id` is missing.")
    try:
        place = f"{organization}/{project.lower()}/{repository.lower()}"
        return Alert(AlertReference(AlertSource.AZURE_DEVOPS, place, str(number)))
    except InvalidAlert as error:
        return Invalid(f"`resource` or `resourceContainers` is malformed: {error}.")


@dataclass(frozen=True, slots=True)
class AzureDevOps:
    """Reads and closes alerts as the app's identity."""

    rest: Rest

    async def read(self, alert: AlertReference, found: Found) -> tuple[Finding, ...]:
        """Return the findings of `alert`. Raises Blocked or TransientFailure."""
        read = await self.rest.call(
            "GET",
            _path(alert),
            doing=f"Reading {alert}",
            right="the permission to read alerts of the repository, secrets included",
            query=_VERSION | {"expand": "ValidationFingerprint"},
        )
        texts = list(_secrets(read)) if isinstance(read, Mapping) else []
        if not texts:
            raise Blocked(f"{alert} has no secret: its API returned only a part of it. Report the leak yourself.")
        organization, project, repository = alert.place.split("/")
        url = f"https://dev.azure.com/{organization}/{project}/_git/{repository}/alerts/{alert.alert}"
        detected_at = found.at(text_of(read, "firstSeenDate"))
        reported = in_text("\n".join(texts), source=alert.source, url=url, detected_at=detected_at, alert=alert)
        return tuple(each.finding for each in reported)

    async def close(self, alert: AlertReference, comment: str) -> str:
        """Dismiss `alert` as fixed; return what was done. Raises Blocked or TransientFailure."""
        await self.rest.call(
            "PATCH",
            _path(alert),
            doing=f"Closing {alert}",
            right="the permission to dismiss alerts of the repository",
            query=_VERSION,
            body={"state": "dismissed", "dismissedReason": "fixed", "dismissedComment": comment},
        )
        return f"{alert} was dismissed as fixed."


def _path(alert: AlertReference) -> str:
    organization, project, repository = alert.place.split("/")
    return f"/{organization}/{project}/_apis/alert/repositories/{repository}/alerts/{alert.alert}"


def _secrets(alert: Mapping[str, Any]) -> Iterator[str]:
    """Return the texts that contain the secret: the fields of its JSON depend on its kind."""
    for fingerprint in list_of(alert, "validationFingerprints"):
        text = text_of(fingerprint, "validationFingerprintJson") if isinstance(fingerprint, Mapping) else None
        if text is None:
            continue
        try:
            yield "\n".join(_texts(json.loads(text)))
        except (ValueError, RecursionError):
            yield text


def _texts(value: object, depth: int = 0) -> Iterator[str]:
    """Return every string in a value. Fields that name the account or key are returned as name=value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping) and depth < _DEEPEST:
        for name, inner in value.items():
            for text in _texts(inner, depth + 1):
                yield f"{name}={text}" if isinstance(inner, str) and name.lower() in _NAMING else text
    elif isinstance(value, list) and depth < _DEEPEST:
        for inner in value:
            yield from _texts(inner, depth + 1)
