"""App Service's publishing for Flex Consumption: `https://<app>.scm.azurewebsites.net`.

Source: Azure/azure-dev, cli/azd/pkg/azsdk (FuncAppHostClient): `POST /api/publish?RemoteBuild=` with a zip answers
202 with the deployment's id as JSON, and `GET /api/deployments/{id}` its status; 4 is success.
"""

import ast
import io
import uuid
import zipfile

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from local.arm.service import AUDIENCES
from local.deployments.resources import SITE, property_of
from local.deployments.state import Deployments
from local.entra.tokens import Entra, Unauthorized
from local.tenant.model import SUBSCRIPTION_ID

_SUCCESS = 4


def app(entra: Entra, state: Deployments) -> Starlette:
    """Return the host of every app's publishing."""
    published: dict[str, str] = {}

    def site_of(request: Request) -> str | None:
        """The name of the deployed app whose host was called."""
        name = request.headers["host"].partition(".")[0].lower()
        sites = state.resources.within(f"/subscriptions/{SUBSCRIPTION_ID}", SITE)
        return next((each["name"] for each in sites if each["name"].lower() == name), None)

    def is_private(site: str) -> bool:
        """Whether only its network reaches it: "Azure Functions networking options", inbound private endpoints."""
        sites = state.resources.within(f"/subscriptions/{SUBSCRIPTION_ID}", SITE)
        return any(each["name"] == site and property_of(each, "publicNetworkAccess") == "Disabled" for each in sites)

    async def publish(request: Request) -> Response:
        refused = _unauthorized(entra, request)
        if refused is not None:
            return refused
        site = site_of(request)
        if site is None:
            return PlainTextResponse("No such host.", 404)
        if not state.inside and is_private(site):
            return PlainTextResponse("Error 403 - Forbidden: Ip Forbidden", 403)
        if request.query_params.get("RemoteBuild", "").lower() not in ("true", "false"):
            return PlainTextResponse("RemoteBuild is required.", 400)
        if request.headers.get("content-type") != "application/zip":
            return PlainTextResponse("Content-Type must be application/zip.", 415)
        content = await request.body()
        functions = functions_of(content)
        if functions is None:
            return PlainTextResponse("Package content is not a zip file with host.json at its root.", 400)
        state.packages[site] = content
        state.resources.functions[site.lower()] = functions
        published[deployment := str(uuid.uuid4())] = site
        return JSONResponse(deployment, 202)

    async def status(request: Request) -> Response:
        refused = _unauthorized(entra, request)
        if refused is not None:
            return refused
        deployment = request.path_params["id"]
        if published.get(deployment) != site_of(request):
            return PlainTextResponse("Deployment not found.", 404)
        return JSONResponse({"id": deployment, "status": _SUCCESS, "complete": True, "active": True})

    return Starlette(
        routes=[
            Route("/api/publish", publish, methods=["POST"]),
            Route("/api/deployments/{id}", status, methods=["GET"]),
        ]
    )


def functions_of(package: bytes) -> frozenset[str] | None:
    """Return the names of the functions of a Python app in a zip; None if it is no package of an app."""
    try:
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            archive.read("host.json")
            tree = ast.parse(archive.read("function_app.py"))
    except (KeyError, SyntaxError, zipfile.BadZipFile):
        return None
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, functions) and node.decorator_list)


def _unauthorized(entra: Entra, request: Request) -> Response | None:
    try:
        entra.authenticate(request, audiences=AUDIENCES)
    except Unauthorized as error:
        return PlainTextResponse(error.reason.value, 401, {"www-authenticate": error.challenge})
    return None
