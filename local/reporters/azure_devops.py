"""The Advanced Security API of Azure DevOps: the stand-in for advsec.dev.azure.com.

MicrosoftDocs/vsts-rest-api-specs, advancedSecurity 7.2 (alert.json): Alerts_Get, Alerts_Update, 7.2-preview.1.
Projects and repositories are found by id or by name, without regard to case.
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

_VERSION = "7.2-preview.1"
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

    return Starlette(
        routes=[Route(_ALERT, get, methods=["GET"]), Route(_ALERT, update, methods=["PATCH"])],
        exception_handlers={AzureDevOpsError: _failed, Unauthorized: _unauthorized, Forbidden: _forbidden},
    )


def _alert(cloud: Cloud, request: Request, *parameters: str) -> AzureDevOpsAlert:
    if request.query_params.get("api-version") != _VERSION:
        raise AzureDevOpsError(400, "VssVersionNotSpecifiedException", "The api-version must be given.")
    if set(request.query_params) - {"api-version", *parameters}:
        raise AzureDevOpsError(400, "InvalidArgumentException", "A query parameter is unknown.")
    path = request.path_params
    if (
        path["organization"].lower() == AZURE_DEVOPS_ORGANIZATION
        and path["project"].lower() in _PROJECTS
        and path["repository"].lower() in _REPOSITORIES
    ):
        for alert in cloud.alerts.azure_devops:
            if alert.number == path["number"]:
                return alert
    raise AzureDevOpsError(404, "AlertNotFoundException", "The alert was not found.")


def repository_url() -> str:
    """Return the URL of the repository as alerts and service hooks have it."""
    project, repository = quote(AZURE_DEVOPS_PROJECT_NAME), quote(AZURE_DEVOPS_REPOSITORY_NAME)
    return f"https://dev.azure.com/{AZURE_DEVOPS_ORGANIZATION}/{project}/_git/{repository}"


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
        "physicalLocations": [{"filePath": "/README.md", "region": {"lineStart": 1, "lineEnd": 1}}],
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
