"""App registrations of the tenant, as far as tokens depend on them."""

from dataclasses import dataclass

from local.tenant.model.names import API_ID_URI, CONSOLE_CLIENT_ID

AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"  # the Azure CLI's own application, in every tenant
GRAPH_POWERSHELL = "14d82eec-204b-4c2f-b7e8-296a70dab67e"  # Microsoft Graph Command Line Tools: Connect-MgGraph

GRAPH_SCOPES_OF_AZURE_CLI = (
    "Application.ReadWrite.All AppRoleAssignment.ReadWrite.All AuditLog.Read.All "
    "DelegatedPermissionGrant.ReadWrite.All Directory.AccessAsUser.All email Group.ReadWrite.All openid profile "
    "User.Read.All User.ReadWrite.All"
)
"""The claim `scp` of its tokens for Microsoft Graph. Nobody can extend it: the application is one of Microsoft's own
(Azure/azure-cli#22775, #20572). None of SharePoint's scopes is among them: microsoft/terraform-provider-msgraph#130
has the 403 of `POST /sites/{id}/permissions` with such a token, of a SharePoint administrator who owns the site.
"""


@dataclass(frozen=True)
class Registration:
    """An app registration. Field by field from Microsoft Graph's resource types `application` and `apiApplication`.

    `token_version`: api.requestedAccessTokenVersion; None means 1. `scopes`: values of api.oauth2PermissionScopes.
    `pre_authorized`: client ids of api.preAuthorizedApplications, which need no consent. `optional_claims`: names in
    optionalClaims.accessToken.
    """

    client_id: str
    identifier_uris: tuple[str, ...] = ()
    token_version: int | None = None
    scopes: tuple[str, ...] = ()
    pre_authorized: frozenset[str] = frozenset()
    optional_claims: frozenset[str] = frozenset()

    def is_named(self, resource: str) -> bool:
        """Return whether `resource` is the client id or an identifier URI of this registration."""
        wanted = resource.rstrip("/").lower()
        return wanted in {self.client_id.lower(), *(uri.rstrip("/").lower() for uri in self.identifier_uris)}


def sasquash() -> Registration:
    """Return the registration that people and reporters sign in to, as scripts/create-registration.sh makes it."""
    return Registration(
        CONSOLE_CLIENT_ID,
        identifier_uris=(API_ID_URI,),
        token_version=2,
        scopes=("user_impersonation",),
        pre_authorized=frozenset({AZURE_CLI}),
        optional_claims=frozenset({"idtyp"}),
    )
