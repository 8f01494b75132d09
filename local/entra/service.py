"""Entra ID: the stand-in for login.microsoftonline.com.

Serves the OpenID Connect discovery documents, the signing keys and MSAL's instance discovery. People sign in to the
console and to the Azure CLI (`sign_in`); the token endpoint refuses every other client. `Entra` (`tokens`) mints and
verifies tokens.
"""

from urllib.parse import parse_qs, urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.entra import errors
from local.entra.device_code import VERIFICATION_PATH
from local.entra.errors import OAuthError
from local.entra.sign_in import CLIENTS, SignIn
from local.entra.tokens import AUTHORITY, ISSUER, Entra, Forbidden, Reason, Unauthorized
from local.tenant.model import TENANT_DOMAIN, TENANT_ID, Cloud

__all__ = ["Entra", "Forbidden", "Reason", "Unauthorized", "app"]

_ANY_TENANT = ("common", "organizations")


def app(cloud: Cloud, entra: Entra) -> Starlette:
    """Return login.microsoftonline.com: discovery, keys and sign-in, with CORS for browsers."""
    sign_in = SignIn(cloud, entra)

    async def token(request: Request) -> Response:
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        if form.get("client_id", [""])[0] in CLIENTS:
            return sign_in.redeem({name: values[0] for name, values in form.items()})
        return await _refuse_token(request)

    async def keys(request: Request) -> Response:
        _require_tenant(request)
        return JSONResponse(entra.signing_keys())

    return Starlette(
        routes=[
            Route("/common/discovery/instance", _instance_discovery),
            Route("/{tenant}/.well-known/openid-configuration", _openid_configuration_v1),
            Route("/{tenant}/v2.0/.well-known/openid-configuration", _openid_configuration_v2),
            Route("/{tenant}/discovery/keys", keys),
            Route("/{tenant}/discovery/v2.0/keys", keys),
            Route("/{tenant}/oauth2/token", _refuse_token, methods=["POST"]),
            Route("/{tenant}/oauth2/v2.0/authorize", sign_in.authorize),
            Route("/{tenant}/oauth2/v2.0/devicecode", sign_in.start_device, methods=["POST"]),
            Route(VERIFICATION_PATH, sign_in.approve_device),
            Route("/{tenant}/oauth2/v2.0/token", token, methods=["POST"]),
        ],
        middleware=[Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])],
        exception_handlers={OAuthError: errors.answer},
    )


def _require_tenant(request: Request) -> str:
    """Return the tenant of the path: the id for either name of the tenant, or a multi-tenant placeholder."""
    tenant = str(request.path_params["tenant"]).lower()
    if tenant in _ANY_TENANT:
        return tenant
    if tenant not in (TENANT_ID, TENANT_DOMAIN):
        raise OAuthError(
            "invalid_tenant",
            90002,
            f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing "
            "into the correct cloud.",
        )
    return TENANT_ID


async def _openid_configuration_v1(request: Request) -> Response:
    tenant = _require_tenant(request)
    base = f"{AUTHORITY}/{tenant}"
    return JSONResponse(
        _openid_configuration(
            issuer=ISSUER.replace(TENANT_ID, "{tenantid}") if tenant in _ANY_TENANT else ISSUER,
            jwks_uri=f"{base}/discovery/keys",
            oauth=f"{base}/oauth2",
        )
    )


async def _openid_configuration_v2(request: Request) -> Response:
    tenant = _require_tenant(request)
    return JSONResponse(
        _openid_configuration(
            issuer=f"{AUTHORITY}/{'{tenantid}' if tenant in _ANY_TENANT else tenant}/v2.0",
            jwks_uri=f"{AUTHORITY}/{tenant}/discovery/v2.0/keys",
            oauth=f"{AUTHORITY}/{tenant}/oauth2/v2.0",
        )
    )


def _openid_configuration(*, issuer: str, jwks_uri: str, oauth: str) -> dict[str, object]:
    """Return provider metadata (OpenID Connect Discovery 1.0 section 3)."""
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{oauth}/authorize",
        "token_endpoint": f"{oauth}/token",
        "device_authorization_endpoint": f"{oauth}/devicecode",
        "end_session_endpoint": f"{oauth}/logout",
        "jwks_uri": jwks_uri,
        "response_modes_supported": ["query", "fragment", "form_post"],
        "response_types_supported": ["code", "id_token", "code id_token"],
        "scopes_supported": ["openid"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "oid", "tid", "ver", "name", "upn"],
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
    }


async def _instance_discovery(request: Request) -> Response:
    """Answer what MSAL requests before it trusts an authority: `?api-version=1.1&authorization_endpoint=<url>`."""
    endpoint = urlsplit(request.query_params.get("authorization_endpoint", ""))
    tenant = endpoint.path.strip("/").partition("/")[0]
    if request.query_params.get("api-version") not in ("1.0", "1.1") or endpoint.scheme != "https" or not tenant:
        raise OAuthError("invalid_request", 900144, "The request needs api-version and authorization_endpoint.")
    host = urlsplit(AUTHORITY).hostname
    if endpoint.hostname != host:
        raise OAuthError("invalid_instance", 50049, "Unknown or invalid instance.")
    return JSONResponse(
        {
            "tenant_discovery_endpoint": f"{AUTHORITY}/{tenant}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": "login.windows.net", "aliases": [host]}],
        }
    )


async def _refuse_token(request: Request) -> Response:
    """Refuse: no app of this tenant has a secret or certificate. Tokens come from the identity endpoint."""
    _require_tenant(request)
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", 900144, "The request body must be a form.")
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    for required in ("grant_type", "client_id"):
        if required not in form:
            raise OAuthError(
                "invalid_request",
                900144,
                f"The request body must contain the following parameter: '{required}'.",
            )
    raise OAuthError(
        "unauthorized_client",
        700016,
        f"Application with identifier '{form['client_id'][0]}' was not found in the directory '{TENANT_DOMAIN}'.",
    )
