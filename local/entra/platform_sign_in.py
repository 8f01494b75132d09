"""App Service's own sign-in in front of the app ("Easy Auth"), as infra/modules/app.bicep configures it.

learn.microsoft.com, "Authentication and authorization in Azure App Service" and the ARM type
Microsoft.Web/sites/config authsettingsV2: `openIdIssuer` is the only accepted issuer, so that one that ends in /v2.0
refuses tokens of version 1 (azure-docs#76602); audiences are `allowedAudiences` and the client id; a path in
`excludedPaths` is let through, and "*" at its end stands for the rest. A test compares the values with the template.
"""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from local.entra.tokens import AUTHORITY, ISSUER_V2, Entra, Unauthorized
from local.tenant.model import CONSOLE_CLIENT_ID, TENANT_ID


@dataclass(frozen=True, slots=True)
class PlatformSignIn:
    """The authsettingsV2 of an app: `unauthenticatedClientAction` is Return401."""

    entra: Entra
    client_id: str = CONSOLE_CLIENT_ID
    issuer: str = ISSUER_V2
    audiences: tuple[str, ...] = (CONSOLE_CLIENT_ID,)
    excluded_paths: tuple[str, ...] = (
        "/runtime/webhooks/eventgrid",
        "/api/intake/*",
        "/api/health",
        "/api/desk",
        "/api/desk/*",
    )

    def refusal(self, request: Request) -> Response | None:
        """Return the platform's 401 for a request without a valid token, None where the app gets the request."""
        if any(_matches(request.scope["path"], pattern) for pattern in self.excluded_paths):
            return None
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            try:
                self.entra.verify(token.strip(), issuer=self.issuer, audiences=(self.client_id, *self.audiences))
            except Unauthorized:
                pass
            else:
                return None
        challenge = (
            f'Bearer realm="{request.url.hostname}" '
            f'authorization_uri="{AUTHORITY}/{TENANT_ID}/oauth2/v2.0/authorize" resource_id="{self.client_id}"'
        )
        return Response(status_code=401, headers={"www-authenticate": challenge})


def _matches(path: str, pattern: str) -> bool:
    return path.startswith(pattern.removesuffix("*")) if pattern.endswith("*") else path == pattern
