"""Where Advanced Security for Azure DevOps has found a secret: the lines of a file, read from Azure Repos.

MicrosoftDocs/vsts-rest-api-specs: advancedSecurity 7.2 (Alert.physicalLocations, PhysicalLocation, Region,
VersionControlDetails, Instances_List), git 7.1 (Items_Get: `$format=json` and `includeContent` return the text; the
right is to read code). A location names no host that is asked: its `itemUrl` is not read.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from shared.cloud.http import Rest
from shared.domain.alert import AlertReference
from shared.domain.unread_place import UnreadPlace
from shared.sources.alert_places import Place, Read, lines
from shared.sources.entries import list_of, object_of, text_of

BASE_URL = "https://dev.azure.com"

_VERSION = {"api-version": "7.1"}
_ALERT_VERSION = {"api-version": "7.2-preview.1"}
_RIGHT = "the permission to read the code of the repository"
_COMMIT = re.compile(r"[0-9a-f]{40}", re.IGNORECASE)
_LONGEST_PATH = 4096


@dataclass(frozen=True, slots=True)
class Code:
    """Reads files as the app's identity. `alerts` is the API of alerts, `code` that of Azure Repos."""

    alerts: Rest
    code: Rest

    async def of(
        self, alert: AlertReference, read: Mapping[str, Any], *, path: str, repository: str
    ) -> Sequence[Place]:
        """Return the places of an alert as it was `read`. Each raises Blocked or TransientFailure.

        `path` is that of the alert in its API, `repository` that of its repository in Azure Repos.
        """
        at = partial(self._at, alert, path=path, repository=repository)
        return [partial(at, location) for location in list_of(read, "physicalLocations")]

    async def _commit_of_instances(self, alert: AlertReference, path: str) -> str | None:
        """Return a commit in which the service has seen the secret."""
        answer = await self.alerts.call(
            "GET",
            f"{path}/instances",
            doing=f"Reading the instances of {alert}",
            right="the permission to read alerts of the repository",
            query=_ALERT_VERSION,
        )
        instances = answer.get("value") if isinstance(answer, Mapping) else answer
        for instance in _objects(instances):
            for name in ("firstSeen", "lastSeen", "recentAnalysisInstance"):
                if (commit := _commit(object_of(instance, name).get("commitId"))) is not None:
                    return commit
        return None

    async def _at(self, alert: AlertReference, location: object, *, path: str, repository: str) -> Read:
        if not isinstance(location, Mapping):
            return UnreadPlace.MALFORMED
        if location.get("isValidGitPath") is False:
            return UnreadPlace.MISSING
        file = _path(location.get("filePath"))
        if file is None:
            return UnreadPlace.MALFORMED
        commit = _commit(object_of(location, "versionControl").get("commitHash"))
        if commit is None and (commit := await self._commit_of_instances(alert, path)) is None:
            return UnreadPlace.MALFORMED
        item = await self.code.call(
            "GET",
            f"{repository}/items",
            doing=f"Reading a file of {alert}",
            right=_RIGHT,
            query={
                "path": quote(file),
                "versionDescriptor.version": commit,
                "versionDescriptor.versionType": "commit",
                "includeContent": "true",
                "$format": "json",
                **_VERSION,
            },
        )
        text = text_of(item, "content") if isinstance(item, Mapping) else None
        if text is None:
            return UnreadPlace.MALFORMED
        region = object_of(location, "region")
        return lines(text, region.get("lineStart"), region.get("lineEnd"), column=region.get("columnStart"))


def _path(value: object) -> str | None:
    """Return the path of a file from the root of its repository; None for anything else."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_PATH or not value.isprintable():
        return None
    path = value.lstrip("/")
    if "\\" in path or not path or any(part in ("", ".", "..") for part in path.split("/")):
        return None
    return f"/{path}"


def _commit(value: object) -> str | None:
    return value.lower() if isinstance(value, str) and _COMMIT.fullmatch(value) else None


def _objects(values: object) -> list[Mapping[str, Any]]:
    return [one for one in values if isinstance(one, Mapping)] if isinstance(values, list) else []
