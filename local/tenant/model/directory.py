"""What set-up scripts change: app registrations, service principals and their app roles, SharePoint sites and lists.

Bodies are as Microsoft Graph shows them (resource types application, servicePrincipal, appRoleAssignment, list,
columnDefinition, permission).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from local.tenant.model.names import SHAREPOINT_LIST, SHAREPOINT_SITE
from local.tenant.model.registration import Registration

GRAPH_APP = "00000003-0000-0000-c000-000000000000"  # Microsoft Graph's own application, in every tenant
GRAPH_PRINCIPAL = "5d1c3a86-2f0e-4b79-a3c4-0e9f7b6d8a21"
SPARE_SITE = "contoso.sharepoint.com,0b6f2d9c-7e14-4c5a-9b38-4d1e6f0a2c73,9f3e5a17-6c2b-4d80-8e49-7a0c1b5d3f62"
"""A site without lists, at /sites/operations."""


@dataclass
class SharePointList:
    """A list of a site: its own properties, and its columns."""

    shown: dict[str, Any]
    columns: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Site:
    """A SharePoint site: `path` below its host, lists by id, and the applications with a permission on it."""

    path: str
    lists: dict[str, SharePointList] = field(default_factory=dict)
    permissions: list[dict[str, Any]] = field(default_factory=list)


def _sites() -> dict[str, Site]:
    incidents = SharePointList({"id": SHAREPOINT_LIST, "name": "Incidents", "displayName": "Incidents"})
    return {
        SHAREPOINT_SITE: Site("/sites/security", {SHAREPOINT_LIST: incidents}),
        SPARE_SITE: Site("/sites/operations"),
    }


@dataclass
class Directory:
    """Applications and service principals by object id, app role assignments, and sites by id."""

    applications: dict[str, dict[str, Any]] = field(default_factory=dict)
    principals: dict[str, dict[str, Any]] = field(default_factory=dict)
    assignments: list[dict[str, Any]] = field(default_factory=list)
    sites: dict[str, Site] = field(default_factory=_sites)

    def registrations(self) -> Iterator[Registration]:
        """The applications, as far as tokens for them depend on it."""
        for each in self.applications.values():
            api = each["api"]
            yield Registration(
                each["appId"],
                identifier_uris=tuple(each["identifierUris"]),
                token_version=api.get("requestedAccessTokenVersion"),
                scopes=tuple(scope["value"] for scope in api.get("oauth2PermissionScopes", ())),
                pre_authorized=frozenset(client["appId"] for client in api.get("preAuthorizedApplications", ())),
            )

    def forget(self) -> None:
        """Return to what every tenant has."""
        self.applications.clear()
        self.principals.clear()
        self.assignments.clear()
        self.sites = _sites()
