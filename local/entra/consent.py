"""Which resource a client asks for, and whether it may have a token for it.

learn.microsoft.com, "Scopes and permissions in the Microsoft identity platform" (.default, pre-authorization). The
refusals as reported: AADSTS500011 (learn.microsoft.com, "Error AADSTS500011 - Resource Principal Not Found"),
AADSTS65001 (Azure/azure-cli#15056, where the Azure CLI is not pre-authorized), AADSTS90009 (MSAL.js #5198: no scope,
of one's own).
"""

from dataclasses import dataclass

from local.entra.errors import OAuthError
from local.entra.tokens import Entra
from local.tenant.model import TENANT_DOMAIN
from local.tenant.model.registration import AZURE_CLI, Registration

_OPENID = frozenset({"openid", "profile", "email", "offline_access"})
_NAMES = {AZURE_CLI: "Microsoft Azure CLI"}


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token request is granted: `resource` as it was named, `scope` as the response names it."""

    resource: str
    scope: str


def grant(entra: Entra, *, client: str, scope: str) -> Grant:
    """Return what `scope` grants `client`. Raises OAuthError."""
    asked = [each for each in scope.split() if each not in _OPENID]
    if not asked:
        raise _itself(client)
    resources = {each.rpartition("/")[0] for each in asked}
    if len(resources) != 1 or "" in resources:
        raise OAuthError("invalid_request", 28000, "Provided value for the input parameter scope is not valid.")
    [resource] = resources
    registration = entra.registration(resource)
    if registration is None:
        _check_azure(entra, client=client, resource=resource)
        return Grant(resource, scope)
    permissions = {each.rpartition("/")[2] for each in asked} - {".default"}
    missing = sorted(permissions - set(registration.scopes))
    if missing:
        text = f"The application '{client}' asked for scope '{missing[0]}' that doesn't exist on the resource."
        raise OAuthError("invalid_client", 650053, text)
    _check_consent(registration, client=client)
    granted = (*registration.scopes, ".default")
    return Grant(resource, " ".join((*sorted(_OPENID & set(scope.split())), *(f"{resource}/{s}" for s in granted))))


def unknown_resource(resource: str) -> OAuthError:
    """Return the refusal of a resource that the tenant does not have."""
    return OAuthError(
        "invalid_resource",
        500011,
        f"The resource principal named {resource} was not found in the tenant named {TENANT_DOMAIN}. This can happen "
        "if the application has not been installed by the administrator of the tenant or consented to by any user in "
        "the tenant. You might have sent your authentication request to the wrong tenant.",
    )


def _check_azure(entra: Entra, *, client: str, resource: str) -> None:
    """Check a request for a resource of Azure's own: only the Azure CLI has their consent."""
    if not entra.knows(resource):
        raise unknown_resource(resource)
    if client != AZURE_CLI:
        raise _without_consent(client)


def _check_consent(registration: Registration, *, client: str) -> None:
    if client != registration.client_id and (not registration.scopes or client not in registration.pre_authorized):
        raise _without_consent(client)


def _without_consent(client: str) -> OAuthError:
    return OAuthError(
        "invalid_grant",
        65001,
        f"The user or administrator has not consented to use the application with ID '{client}' named "
        f"'{_NAMES.get(client, client)}'. Send an interactive authorization request for this user and resource.",
        suberror="consent_required",
    )


def _itself(client: str) -> OAuthError:
    return OAuthError(
        "invalid_request",
        90009,
        f"Application '{client}' is requesting a token for itself. This scenario is supported only if resource is "
        "specified using the GUID based App Identifier.",
    )
