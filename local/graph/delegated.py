"""Operations with the token of a person: what the client has consent for, and what the person may do, both.

learn.microsoft.com, "Overview of Microsoft Graph permissions", delegated permissions. The scopes and roles of each
operation are those of its page in microsoftgraph/microsoft-graph-docs-contrib, api-reference/v1.0 (`permissions`).
"""

from dataclasses import dataclass

from starlette.requests import Request

from local.entra.tokens import Entra
from local.graph.protocol import GraphError
from local.tenant.model import Identity

DENIED = GraphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
SITE_DENIED = GraphError(403, "accessDenied", "Access denied")  # terraform-provider-msgraph#130


@dataclass(frozen=True)
class Permission:
    """One of `scopes` in the token, and one of `roles` of Entra ID (empty: none is needed). Else `refusal`."""

    scopes: frozenset[str]
    roles: frozenset[str] = frozenset()
    refusal: GraphError = DENIED

    def require(self, entra: Entra, identity: Identity, request: Request) -> None:
        """Raise GraphError (403) for a token without the scope, or of a person without the role."""
        if not self.scopes & (entra.scopes(request) or frozenset()):
            raise self.refusal
        if self.roles and not any(identity.may(f"Directory/{role}") for role in self.roles):
            raise self.refusal


_READ = frozenset({"Application.Read.All", "Application.ReadWrite.All", "Directory.Read.All"})
READ_DIRECTORY = Permission(_READ)  # application-list, serviceprincipal-list, -get, -list-approleassignments
REGISTER = Permission(  # application-post-applications, -update, serviceprincipal-post-serviceprincipals
    frozenset({"Application.ReadWrite.All"}), frozenset({"Application Developer", "Cloud Application Administrator"})
)
ASSIGN = Permission(  # serviceprincipal-post-approleassignments: of Graph: Privileged Role Administrator
    frozenset({"AppRoleAssignment.ReadWrite.All"}), frozenset({"Privileged Role Administrator"})
)

_SITES = ("Sites.Read.All", "Sites.ReadWrite.All", "Sites.Manage.All", "Sites.FullControl.All")
READ_SITES = Permission(frozenset(_SITES), refusal=SITE_DENIED)  # site-getbypath, list-list, list-list-columns
MANAGE_LISTS = Permission(frozenset(_SITES[2:]), refusal=SITE_DENIED)  # list-create, list-post-columns
GRANT_SITES = Permission(  # site-post-permissions: "the user must have an administrator role, such as SharePoint …"
    frozenset(_SITES[3:]), frozenset({"SharePoint Administrator"}), refusal=SITE_DENIED
)
