"""GitHub Advanced Security for Azure DevOps: a service hook names an alert, which is read and closed over its API.

MicrosoftDocs/vsts-rest-api-specs: hooks 7.2 (Event, ResourceContainer), advancedSecurity 7.2 (Alert, Alerts_Get,
Alerts_Update). An alert's `projectId` and `repositoryId` are new there (August 2025), and earlier hooks do not have
them. Therefore a repository is also read from `repositoryUrl`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any
from urllib.parse import quote, unquote

from shared.cloud.http import Rest
from shared.domain.alert import AlertReference, AlertSource, InvalidAlert
from shared.domain.alert_match import Closing, Doubt, Revoked, SecretOfAlert, left_open
from shared.domain.finding import Finding
from shared.domain.guid import is_guid
from shared.domain.report import in_text
from shared.errors import Blocked
from shared.sources.alert_places import attributed
from shared.sources.azure_devops_code import Code
from shared.sources.entries import Alert, Entry, Invalid, Skip, Skipped, list_of, object_of, text_of
from shared.sources.findings import Found

BASE_URL = "https://advsec.dev.azure.com"
SCOPE = "499b84ac-1321-427f-aa17-267ca6975798/.default"  # Azure DevOps, in every tenant

_EVENTS = ("ms.vss-alerts.alert-created-event", "ms.vss-alerts.alert-state-changed-event")
_VERSION = {"api-version": "7.2-preview.1"}
# learn.microsoft.com "Allowed IP addresses and domain URLs": an organization is at dev.azure.com/{organization}, an
# older one also at {organization}.visualstudio.com. The repository that has its project's name is named alone.
_REPOSITORY_URL = re.compile(
    r"https://(?:[^@/?#\\]*@)?"
    r"(?:dev\.azure\.com/(?P<new>[a-z0-9-]+)|(?P<old>[a-z0-9-]+)\.visualstudio\.com(?:/DefaultCollection)?)"
    r"(?:/(?P<project>[^/?#\\]+))?/_git/(?P<repository>[^/?#\\]+)/?",
    re.IGNORECASE | re.ASCII,
)
_KEY = re.compile(r"[A-Za-z0-9+/]{86}==", re.ASCII)  # of a storage account: 64 bytes
_DEEPEST = 4
_NAMING = frozenset({"accountname", "account", "storageaccount", "accountkey"})


def read(payload: object, *, organization: str) -> Entry:
    """Return the entry of a service hook: an alert, if it is an active one about a secret.

    `organization` is the one that the settings name. An alert of another is invalid.
    """
    if not isinstance(payload, Mapping):
        return Invalid("The payload is not an object.")
    resource = object_of(payload, "resource")
    state, kind = resource.get("state", "active"), resource.get("alertType")
    if payload.get("eventType") not in _EVENTS:
        return Skipped(Skip.OTHER_EVENT)
    if not isinstance(state, str) or not isinstance(kind, str):
        return Invalid("`resource.state` or `resource.alertType` is not a text.")
    if state.lower() != "active":
        return Skipped(Skip.OTHER_EVENT)
    if kind.lower() != "secret":
        return Skipped(Skip.OTHER_SECRET)
    number = resource.get("alertId")
    if not isinstance(number, int) or isinstance(number, bool):
        return Invalid("`resource.alertId` is missing, or not a number.")
    try:
        place = "/".join((organization, *_repository(payload, resource, organization=organization)))
        return Alert(AlertReference(AlertSource.AZURE_DEVOPS, place, str(number)))
    except InvalidAlert as error:
        return Invalid(f"`resource` or `resourceContainers` is malformed: {error}.")


def _repository(payload: Mapping[str, Any], resource: Mapping[str, Any], *, organization: str) -> tuple[str, str]:
    """Return project and repository: their ids where the hook has them, since a rename does not change those."""
    project, repository = None, None
    if (url := resource.get("repositoryUrl")) is not None:
        project, repository = _names(url, organization=organization)
    container = object_of(object_of(payload, "resourceContainers"), "project")
    project = _id(container.get("id")) or _id(resource.get("projectId")) or project
    repository = _id(resource.get("repositoryId")) or repository
    if project is None or repository is None:
        raise InvalidAlert("its repository is named by neither `repositoryUrl` nor ids")
    return project, repository


def _id(value: object) -> str | None:
    return value.lower() if is_guid(value) else None


def _names(url: object, *, organization: str) -> tuple[str, str]:
    """Return project and repository of a repository's URL, as people read them. Raises InvalidAlert."""
    match = _REPOSITORY_URL.fullmatch(url) if isinstance(url, str) else None
    if match is None:
        raise InvalidAlert("`repositoryUrl` is not the URL of a repository of Azure DevOps")
    if (match["new"] or match["old"]).lower() != organization.lower():
        raise InvalidAlert("`repositoryUrl` is not in the organization of SASQUASH_AZURE_DEVOPS_ORGANIZATION")
    try:
        repository = unquote(match["repository"], errors="strict")
        return unquote(match["project"], errors="strict") if match["project"] else repository, repository
    except ValueError:
        raise InvalidAlert("`repositoryUrl` is not percent-encoded UTF-8") from None


@dataclass(frozen=True, slots=True)
class AzureDevOps:
    """Reads and closes alerts of one organization as the app's identity. `code` is the API of Azure Repos."""

    rest: Rest
    code: Rest
    _: KW_ONLY
    organization: str

    async def read(self, alert: AlertReference, found: Found) -> tuple[Finding, ...]:
        """Return the findings of `alert`. Raises Blocked or TransientFailure; AccountUnread has the findings.

        Where the secret does not name its account, the lines around it in its file are read.
        """
        read = await self.rest.call(
            "GET",
            self._path(alert),
            doing=f"Reading {alert}",
            right="the permission to read alerts of the repository, secrets included",
            query=_VERSION | {"expand": "validationFingerprint"},
        )
        texts = list(_secrets(read)) if isinstance(read, Mapping) else []
        if not texts:
            raise Blocked(f"{alert} has no secret: its API returned only a part of it. Report the leak yourself.")
        organization, project, repository = _encoded(alert)
        url = f"https://dev.azure.com/{organization}/{project}/_git/{repository}/alerts/{alert.alert}"
        detected_at = found.at(text_of(read, "firstSeenDate"))
        reported = in_text("\n".join(texts), source=alert.source, url=url, detected_at=detected_at, alert=alert)
        places = partial(
            Code(self.rest, self.code).of,
            alert,
            read,
            path=self._path(alert),
            repository=f"/{organization}/{project}/_apis/git/repositories/{repository}",
        )
        return await attributed([each.finding for each in reported], places, alert=alert)

    async def close(self, alert: AlertReference, comment: str, *, revoked: Revoked) -> Closing:
        """Dismiss `alert` as fixed if its secrets are what was `revoked`. Raises Blocked or TransientFailure.

        One that is closed already is not changed: the service itself sets `fixed` and `autoDismissed`.
        """
        if not self._is_ours(alert):
            return Closing(
                f"{alert} was left open: it is not in the organization of SASQUASH_AZURE_DEVOPS_ORGANIZATION.",
                closed=False,
            )
        doing = f"Closing {alert}"
        now = await self.rest.call(
            "GET",
            self._path(alert),
            doing=doing,
            right="the permission to read alerts of the repository, secrets included",
            query=_VERSION | {"expand": "validationFingerprint"},
        )
        if not isinstance(now, Mapping) or now.get("alertId") != int(alert.alert) or not self._is_in_place(now):
            return left_open(alert, Doubt.ANOTHER_ALERT)
        if (doubt := revoked.doubt_of_secrets(_secrets_of(now))) is not None:
            return left_open(alert, doubt)
        if _is_closed(now):
            return Closing(f"{alert} was already closed.", closed=True)
        await self.rest.call(
            "PATCH",
            self._path(alert),
            doing=doing,
            right="the permission to dismiss alerts of the repository",
            query=_VERSION,
            body={"state": "dismissed", "dismissedReason": "fixed", "dismissedComment": comment},
        )
        return Closing(f"{alert} was dismissed as fixed.", closed=True)

    def _is_ours(self, alert: AlertReference) -> bool:
        return alert.place.partition("/")[0].lower() == self.organization.lower()

    def _is_in_place(self, answer: Mapping[str, Any]) -> bool:
        """Whether an alert, as the service returns it, is in our organization. Its ids are unique there."""
        if (url := answer.get("repositoryUrl")) is None:
            return True
        try:
            _names(url, organization=self.organization)
        except InvalidAlert:
            return False
        return True

    def _path(self, alert: AlertReference) -> str:
        organization, project, repository = _encoded(alert)
        if not self._is_ours(alert):  # an event may name any
            raise Blocked(
                f"{alert} is not in the organization of SASQUASH_AZURE_DEVOPS_ORGANIZATION. Close it yourself."
            )
        return f"/{organization}/{project}/_apis/alert/repositories/{repository}/alerts/{alert.alert}"


def _is_closed(alert: Mapping[str, Any]) -> bool:
    """Whether it is fixed. An alert that a person dismissed for another reason is not: the leak was real."""
    state, reason = (text_of(alert, "state") or "").lower(), text_of(object_of(alert, "dismissal"), "dismissalType")
    return state in ("fixed", "autodismissed") or (state == "dismissed" and (reason or "").lower() == "fixed")


def _encoded(alert: AlertReference) -> tuple[str, str, str]:
    """Return organization, project and repository as segments of a path."""
    organization, project, repository = (quote(name, safe="") for name in alert.place.split("/"))
    return organization, project, repository


def _secrets(alert: Mapping[str, Any]) -> Iterator[str]:
    """Return the texts that contain the secret."""
    for secret in _secrets_of(alert):
        if secret.text:
            yield secret.text


def _secrets_of(alert: Mapping[str, Any]) -> Sequence[SecretOfAlert]:
    """Return the secrets of an alert, one for each of its fingerprints (ValidationFingerprint).

    `c3Id` is "the CrossCompanyCorrelatingId for the secret in the ValidationFingerprintJson", which is the one that
    we make (microsoft/security-utilities). How `validationFingerprintHash` is made is documented nowhere.
    """
    fingerprints = (one for one in list_of(alert, "validationFingerprints") if isinstance(one, Mapping))
    of_storage = _is_of_storage(alert)
    return [
        SecretOfAlert(
            _secret_in(text_of(one, "validationFingerprintJson"), of_storage=of_storage), c3id=text_of(one, "c3Id")
        )
        for one in fingerprints
    ]


def _is_of_storage(alert: Mapping[str, Any]) -> bool:
    """Whether an alert says that its secret is one of Azure Storage: keys of other services have the same form."""
    rules = (rule for tool in _objects(alert, "tools") for rule in _objects(tool, "rules"))
    names = [alert.get("title"), *(rule.get(name) for rule in rules for name in ("friendlyName", "opaqueId"))]
    return any(isinstance(name, str) and "storage" in name.lower() for name in names)


def _objects(item: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    return (one for one in list_of(item, name) if isinstance(one, Mapping))


def _secret_in(text: str | None, *, of_storage: bool) -> str | None:
    """Return the text with the secret in the JSON of a fingerprint: its fields depend on the kind of secret."""
    if text is None:
        return None
    try:
        texts = list(_texts(json.loads(text)))
    except (ValueError, RecursionError):
        return text
    is_key = _KEY.fullmatch if of_storage else lambda _: None
    return "\n".join(f"AccountKey={one}" if is_key(one) else one for one in texts)


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
