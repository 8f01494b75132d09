"""Azure DevOps: the stand-ins for advsec.dev.azure.com (Advanced Security) and dev.azure.com (Azure Repos).

MicrosoftDocs/vsts-rest-api-specs, advancedSecurity 7.2 (alert.json): Alerts_Get, Alerts_Update, Instances_List,
7.2-preview.1; git 7.1 (git.json): Items_Get. Projects and repositories are found by id or by name, without regard to
case. A list is `{"count", "value"}`, as in the examples of git.json.
"""

import json
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local import json_text
from local.entra.tokens import AZURE_DEVOPS, Entra, Forbidden, Unauthorized
from local.tenant.model import Cloud
from local.tenant.senders import (
    AZURE_DEVOPS_ORGANIZATION,
    AZURE_DEVOPS_PROJECT,
    AZURE_DEVOPS_PROJECT_NAME,
    AZURE_DEVOPS_REPOSITORY,
    AZURE_DEVOPS_REPOSITORY_NAME,
    AzureDevOpsAlert,
)

READ, MANAGE = "Azure DevOps/advsec.read", "Azure DevOps/advsec.manage"
READ_CODE = "Azure DevOps/code.read"

_VERSION = "7.2-preview.1"
_ITEMS = "/{organization}/{project}/_apis/git/repositories/{repository}/items"
_ITEM_VERSION = "7.1"
# Of Items_Get, without those that nothing here reads: scopePath, recursionLevel, download, sanitize, resolveLfs.
_OF_ITEM = ("path", "versionDescriptor.version", "versionDescriptor.versionType", "includeContent", "$format")
_ALERT = "/{organization}/{project}/_apis/alert/repositories/{repository}/alerts/{number:int}"
_EXPAND = ("none", "validationfingerprint")
_STATES = ("active", "dismissed")  # the ones of State that a client sets: the service computes the others
# DismissalType without `unknown`, which is no reason.
_REASONS = ("fixed", "acceptedRisk", "falsePositive", "agreedToGuidance", "toolUpgrade", "notDistributed")
_PROJECTS = (AZURE_DEVOPS_PROJECT, AZURE_DEVOPS_PROJECT_NAME.lower())
_REPOSITORIES = (AZURE_DEVOPS_REPOSITORY, AZURE_DEVOPS_REPOSITORY_NAME.lower())


class AzureDevOpsError(Exception):
    """An error response `{"$id", "message", "typeKey", "errorCode"}`."""

    def __init__(self, status: int, key: str, message: str) -> None:
        super().__init__(f"{status} {key}")
        self.status = status
        self.body = {"$id": "1", "message": message, "typeKey": key, "errorCode": 0}


def app(cloud: Cloud, entra: Entra) -> Starlette:
    """Return advsec.dev.azure.com for `cloud`."""

    async def get(request: Request) -> Response:
        entra.authorize(request, audiences=[AZURE_DEVOPS], right=READ)
        alert = _alert(cloud, request, "expand")
        expand = request.query_params.get("expand", "none").lower()
        if expand not in _EXPAND:
            raise AzureDevOpsError(400, "InvalidArgumentException", "The value of expand is not valid.")
        return JSONResponse(_described(alert, with_secret=expand == "validationfingerprint"))

    async def update(request: Request) -> Response:
        entra.authorize(request, audiences=[AZURE_DEVOPS], right=MANAGE)
        alert, body = _alert(cloud, request), await _object(request)
        if set(body) - {"state", "dismissedReason", "dismissedComment"} or body.get("state") not in _STATES:
            raise AzureDevOpsError(400, "InvalidArgumentException", "The state update is not valid.")
        if body["state"] == "dismissed" and body.get("dismissedReason") not in _REASONS:
            raise AzureDevOpsError(400, "InvalidArgumentException", "dismissedReason is required.")
        if alert.state not in _STATES:
            raise AzureDevOpsError(400, "InvalidArgumentException", f"The alert is {alert.state}.")
        alert.state, alert.reason = body["state"], body.get("dismissedReason")
        alert.comment = body.get("dismissedComment")
        return JSONResponse(_described(alert, with_secret=False))

    async def instances(request: Request) -> Response:
        entra.authorize(request, audiences=[AZURE_DEVOPS], right=READ)
        alert = _alert(cloud, request, "ref")
        seen = {"commitId": alert.seen_in, "createdDate": alert.created_at.isoformat()}
        described = {"state": alert.state, "firstSeen": seen, "lastSeen": seen, "recentAnalysisInstance": seen}
        return _list([described] if alert.seen_in is not None else [])

    return _served(
        Route(_ALERT, get, methods=["GET"]),
        Route(_ALERT, update, methods=["PATCH"]),
        Route(f"{_ALERT}/instances", instances, methods=["GET"]),
    )


def code_app(cloud: Cloud, entra: Entra) -> Starlette:
    """Return dev.azure.com for `cloud`: the files in which secrets were found."""

    async def item(request: Request) -> Response:
        entra.authorize(request, audiences=[AZURE_DEVOPS], right=READ_CODE)
        query = request.query_params
        _require_version(request, _ITEM_VERSION, *_OF_ITEM)
        path, commit = query.get("path", ""), query.get("versionDescriptor.version", "")
        if not path or (query.get("$format"), query.get("includeContent")) != ("json", "true"):
            raise AzureDevOpsError(400, "InvalidArgumentException", "Only the JSON of one item with its content.")
        if query.get("versionDescriptor.versionType") != "commit" or not _is_commit(commit):
            raise AzureDevOpsError(400, "InvalidArgumentException", "The version descriptor is not a commit.")
        if not _is_repository(request):
            raise AzureDevOpsError(404, "GitRepositoryNotFoundException", "TF401019: The repository does not exist.")
        for alert in cloud.alerts.azure_devops:
            if (alert.path, alert.commit) == (path, commit) and alert.file:
                return JSONResponse(_item(alert))
        raise AzureDevOpsError(404, "GitItemNotFoundException", f"TF401174: The item '{path}' could not be found.")

    return _served(Route(_ITEMS, item, methods=["GET"]))


def _served(*routes: Route) -> Starlette:
    errors = {AzureDevOpsError: _failed, Unauthorized: _unauthorized, Forbidden: _forbidden}
    return Starlette(routes=routes, exception_handlers=errors)


def _list(items: list[dict[str, Any]]) -> Response:
    return JSONResponse({"count": len(items), "value": items})


def _is_commit(text: str) -> bool:
    return len(text) == 40 and all(character in "0123456789abcdef" for character in text)


def _item(alert: AzureDevOpsAlert) -> dict[str, Any]:
    """Return a GitItem. Its object id is of no use here."""
    return {
        "objectId": "61a86fdaa79e5c6f5fb6e4026508489feb6ed92c",
        "gitObjectType": "blob",
        "commitId": alert.commit,
        "path": alert.path,
        "content": alert.file,
        "url": f"https://dev.azure.com/{AZURE_DEVOPS_ORGANIZATION}/_apis/git/repositories/{AZURE_DEVOPS_REPOSITORY}",
    }


def _alert(cloud: Cloud, request: Request, *parameters: str) -> AzureDevOpsAlert:
    _require_version(request, _VERSION, *parameters)
    if _is_repository(request):
        for alert in cloud.alerts.azure_devops:
            if alert.number == request.path_params["number"]:
                return alert
    raise AzureDevOpsError(404, "AlertNotFoundException", "The alert was not found.")


def _require_version(request: Request, version: str, *parameters: str) -> None:
    if request.query_params.get("api-version") != version:
        raise AzureDevOpsError(400, "VssVersionNotSpecifiedException", "The api-version must be given.")
    if set(request.query_params) - {"api-version", *parameters}:
        raise AzureDevOpsError(400, "InvalidArgumentException", "A query parameter is unknown.")


def _is_repository(request: Request) -> bool:
    path = request.path_params
    return (
        path["organization"].lower() == AZURE_DEVOPS_ORGANIZATION
        and path["project"].lower() in _PROJECTS
        and path["repository"].lower() in _REPOSITORIES
    )


def repository_url() -> str:
    """Return the URL of the repository as alerts and service hooks have it."""
    project, repository = quote(AZURE_DEVOPS_PROJECT_NAME), quote(AZURE_DEVOPS_REPOSITORY_NAME)
    return f"https://dev.azure.com/{AZURE_DEVOPS_ORGANIZATION}/{project}/_git/{repository}"


def location(alert: AzureDevOpsAlert) -> dict[str, Any]:
    """Return the PhysicalLocation of the secret of an alert."""
    return {
        "filePath": alert.path,
        "isValidGitPath": True,
        "region": {"lineStart": alert.line, "lineEnd": alert.line, "columnStart": 1, "columnEnd": 20},
        "versionControl": {
            "commitHash": alert.commit,
            "itemUrl": f"{repository_url()}?path={quote(alert.path)}&version=GC{alert.commit}",
        },
    }


def _described(alert: AzureDevOpsAlert, *, with_secret: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "alertId": alert.number,
        "alertType": "secret",
        "severity": "critical",
        "confidence": "high",
        "title": "Azure Storage account shared access signature",
        "state": alert.state,
        "firstSeenDate": alert.created_at.isoformat(),
        "lastSeenDate": alert.created_at.isoformat(),
        "gitRef": "refs/heads/main",
        "projectId": AZURE_DEVOPS_PROJECT,
        "repositoryId": AZURE_DEVOPS_REPOSITORY,
        "repositoryUrl": repository_url(),
        "truncatedSecret": alert.secret[-6:],
        "physicalLocations": alert.locations if alert.locations is not None else [location(alert)],
        "logicalLocations": [],
        "tools": [{"name": "Advanced Security Secret Scanning"}],
    }
    if alert.state == "dismissed":
        described["dismissal"] = {"dismissalType": alert.reason, "message": alert.comment}
    if with_secret:
        secret = json.dumps({"secret": alert.secret, "platform": "azure"})
        described["validationFingerprints"] = [
            {"validationFingerprintHash": "0" * 64, "validationFingerprintJson": secret, "validityResult": "none"}
        ]
    return described


async def _object(request: Request) -> dict[str, Any]:
    try:
        body = json_text.parse(await request.body())
    except json_text.InvalidJson:
        body = None
    if not isinstance(body, dict):
        raise AzureDevOpsError(400, "InvalidArgumentException", "The body is not a JSON object.")
    return body


async def _failed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, AzureDevOpsError)
    return JSONResponse(error.body, error.status)


async def _unauthorized(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Unauthorized)
    return Response(status_code=401, headers={"WWW-Authenticate": error.challenge})


async def _forbidden(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Forbidden)
    message = "TF400813: The identity is not authorized to access this resource."
    body = {"$id": "1", "message": message, "typeKey": "UnauthorizedRequestException", "errorCode": 0}
    return JSONResponse(body, 403)
