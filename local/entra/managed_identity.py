"""App Service's managed identity endpoint, which issues the tokens of ManagedIdentityCredential.

`GET <IDENTITY_ENDPOINT>?resource=…&api-version=2019-08-01[&client_id=…]` with header X-IDENTITY-HEADER
(learn.microsoft.com, "Use managed identities for App Service and Azure Functions", REST endpoint reference).
Served as plain HTTP on loopback, as in App Service.
"""

import hmac
import time
import uuid
from datetime import timedelta

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.entra.consent import unknown_resource
from local.entra.tokens import Entra
from local.tenant.model import Cloud, Identity

PATH = "/msi/token"
API_VERSION = "2019-08-01"
_LIFETIME = timedelta(hours=24)  # of tokens for managed identities
_PARAMETERS = frozenset({"resource", "api-version", "client_id"})


def app(
    cloud: Cloud,
    entra: Entra,
    *,
    secret: str,
    default_identity: str = "developer",
    assigned: frozenset[str] | None = None,
) -> Starlette:
    """Return the endpoint, served at PATH.

    `secret`: the value of IDENTITY_HEADER. `default_identity`: the name of the identity for requests without a
    client_id (the system-assigned identity in App Service). `assigned`: names of the identities that are assigned to
    the app, which gets tokens of no other; None: all of the tenant, for the developer's shell.
    """

    async def token(request: Request) -> Response:
        # As bytes: compare_digest accepts only ASCII text.
        given = request.headers.get("x-identity-header", "").encode()
        if not hmac.compare_digest(given, secret.encode()):
            return _error(401, "The X-IDENTITY-HEADER header is missing or wrong.")
        query = request.query_params
        unknown = set(query) - _PARAMETERS
        if unknown:
            return _error(400, f"Unsupported parameter: {', '.join(sorted(unknown))}.")
        if query.get("api-version") != API_VERSION:
            return _error(400, f"The api-version parameter must be {API_VERSION}.")
        resource = query.get("resource", "")
        if not resource:
            return _error(400, "The resource parameter is required.")
        if not entra.knows(resource):
            return _error(400, f"AADSTS500011: {unknown_resource(resource)}")
        identity = _find(cloud, query.get("client_id"), default_identity)
        if identity is None or (assigned is not None and identity.name not in assigned):
            return _error(
                400,
                "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
            )
        expires_on = int(time.time()) + int(_LIFETIME.total_seconds())
        return JSONResponse(
            {
                "access_token": entra.mint(identity, audience=resource, lifetime=_LIFETIME),
                "client_id": identity.client_id,
                "expires_on": str(expires_on),
                "resource": resource,
                "token_type": "Bearer",
            },
            headers={"cache-control": "no-store"},
        )

    return Starlette(routes=[Route(PATH, token, methods=["GET"])])


def _find(cloud: Cloud, client_id: str | None, default_identity: str) -> Identity | None:
    if client_id is None:
        return cloud.identities.get(default_identity)
    return next((i for i in cloud.identities.values() if i.client_id == client_id.lower()), None)


def _error(status: int, message: str) -> Response:
    body = {"statusCode": status, "message": message, "correlationId": str(uuid.uuid4())}
    return JSONResponse(body, status_code=status, headers={"cache-control": "no-store"})
