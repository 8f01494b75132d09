"""What people do with Graph to set a tenant up: which client and which person may do it, and what Graph refuses."""

import httpx
import pytest

from local.entra.service import Entra
from local.graph import service
from local.tenant.model import AZURE_CLI, GRAPH_POWERSHELL, Cloud
from local.tenant.model.directory import GRAPH_APP, SPARE_SITE
from tests.support.asgi import client
from tests.support.graph_requests import RESPONDER, as_identity, error_code

LISTS = f"/v1.0/sites/{SPARE_SITE}/lists"
PERMISSIONS = f"/v1.0/sites/{SPARE_SITE}/permissions"
GRANT = {"roles": ["write"], "grantedToIdentities": [{"application": {"id": "app", "displayName": "Sasquash"}}]}
LIST = {
    "displayName": "Incidents",
    "list": {"template": "genericList"},
    "columns": [{"name": "FindingId", "text": {}, "indexed": True, "enforceUniqueValues": True}],
}


def graph(cloud: Cloud, entra: Entra, person: str, *scopes: str, by: str = GRAPH_POWERSHELL) -> httpx.AsyncClient:
    """A client of Graph with a token of this person."""
    token = entra.mint(cloud.identities[person], audience="https://graph.microsoft.com", client=by, scopes=scopes)
    return client(service.app(cloud, entra), "graph.microsoft.com", token=token)


# Scopes and roles


@pytest.mark.parametrize("path", [LISTS, PERMISSIONS, "/v1.0/sites/contoso.sharepoint.com:/sites/operations"])
async def test_tokens_of_the_azure_cli_open_no_site(cloud: Cloud, entra: Entra, path: str) -> None:
    """microsoft/terraform-provider-msgraph#130, Azure/azure-cli#22775: with no scopes asked for, either."""
    answer = await graph(cloud, entra, "administrator", "Sites.FullControl.All", by=AZURE_CLI).get(path)

    assert (answer.status_code, error_code(answer)) == (403, "accessDenied")


@pytest.mark.parametrize(
    ("person", "scope", "status"),
    [
        ("administrator", "Sites.FullControl.All", 201),
        ("administrator", "Sites.Manage.All", 403),
        ("developer", "Sites.FullControl.All", 403),
    ],
)
async def test_permission_on_a_site_takes_the_scope_and_an_administrator(
    cloud: Cloud, entra: Entra, person: str, scope: str, status: int
) -> None:
    """microsoftgraph/microsoft-graph-docs-contrib, site-post-permissions."""
    answer = await graph(cloud, entra, person, scope).post(PERMISSIONS, json=GRANT)

    assert answer.status_code == status


async def test_list_takes_the_scope_to_manage(cloud: Cloud, entra: Entra) -> None:
    """microsoftgraph/microsoft-graph-docs-contrib, list-create."""
    refused = await graph(cloud, entra, "developer", "Sites.ReadWrite.All").post(LISTS, json=LIST)
    made = await graph(cloud, entra, "developer", "Sites.Manage.All").post(LISTS, json=LIST)

    assert (refused.status_code, made.status_code) == (403, 201)


async def test_application_without_delegated_scopes_sets_nothing_up(cloud: Cloud, entra: Entra) -> None:
    answer = await as_identity(cloud, entra, "responder").post(LISTS, json=LIST)

    assert answer.status_code == 403


@pytest.mark.parametrize(("person", "status"), [("administrator", 201), ("developer", 403)])
async def test_app_role_is_assigned_by_a_privileged_role_administrator(
    cloud: Cloud, entra: Entra, person: str, status: int
) -> None:
    """serviceprincipal-post-approleassignments: AppRoleAssignment.ReadWrite.All, of the Azure CLI too."""
    cli = graph(cloud, entra, person, by=AZURE_CLI)
    [resource] = (await cli.get(f"/v1.0/servicePrincipals?$filter=appId eq '{GRAPH_APP}'")).json()["value"]
    body = {"principalId": RESPONDER, "resourceId": resource["id"], "appRoleId": resource["appRoles"][0]["id"]}
    answer = await cli.post(f"/v1.0/servicePrincipals/{RESPONDER}/appRoleAssignments", json=body)

    assert answer.status_code == status


# What Graph refuses


async def test_same_assignment_twice_is_refused(cloud: Cloud, entra: Entra) -> None:
    cli = graph(cloud, entra, "administrator", by=AZURE_CLI)
    [resource] = (await cli.get(f"/v1.0/servicePrincipals?$filter=appId eq '{GRAPH_APP}'")).json()["value"]
    body = {"principalId": RESPONDER, "resourceId": resource["id"], "appRoleId": resource["appRoles"][0]["id"]}
    path = f"/v1.0/servicePrincipals/{RESPONDER}/appRoleAssignments"
    first, second = await cli.post(path, json=body), await cli.post(path, json=body)

    assert (first.status_code, second.status_code) == (201, 400)
    assert "already exists" in second.json()["error"]["message"]


async def test_client_is_not_pre_authorized_for_a_scope_that_does_not_exist_yet(cloud: Cloud, entra: Entra) -> None:
    """microsoft-graph-docs#20177."""
    cli = graph(cloud, entra, "developer", by=AZURE_CLI)
    made = (await cli.post("/v1.0/applications", json={"displayName": "Sasquash"})).json()
    scope = {"id": "7c1d9a52-4e0b-4f36-8b8e-2d5a6f3c9e66", "value": "user_impersonation"}
    clients = {"preAuthorizedApplications": [{"appId": AZURE_CLI, "delegatedPermissionIds": [scope["id"]]}]}
    path = f"/v1.0/applications/{made['id']}"
    together = await cli.patch(path, json={"api": {"oauth2PermissionScopes": [scope], **clients}})
    first = await cli.patch(path, json={"api": {"oauth2PermissionScopes": [scope]}})
    then = await cli.patch(path, json={"api": clients})

    assert [each.status_code for each in (together, first, then)] == [400, 204, 204]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "Incidents"}, "invalidRequest"),  # assigned by the server: microsoft-graph-docs#2663
        ({"displayName": "Other", "columns": [{"name": "A"}]}, "invalidRequest"),
        ({"displayName": "Other", "columns": [{"name": "A", "text": {}, "number": {}}]}, "invalidRequest"),
        ({"displayName": "Incidents"}, "nameAlreadyExists"),
    ],
)
async def test_wrong_list_is_refused(cloud: Cloud, entra: Entra, body: dict[str, object], code: str) -> None:
    http = graph(cloud, entra, "administrator", "Sites.Manage.All")
    await http.post(LISTS, json=LIST)

    assert error_code(await http.post(LISTS, json=body)) == code


async def test_lists_come_in_pages(cloud: Cloud, entra: Entra) -> None:
    http = graph(cloud, entra, "administrator", "Sites.Manage.All")
    for i in range(25):
        await http.post(LISTS, json={"displayName": f"List {i}"})
    first = (await http.get(LISTS)).json()
    second = (await http.get(first["@odata.nextLink"])).json()

    assert (len(first["value"]), len(second["value"]), "@odata.nextLink" in second) == (20, 5, False)


async def test_list_of_permissions_leaves_their_roles_out(cloud: Cloud, entra: Entra) -> None:
    """pnp/powershell#917."""
    http = graph(cloud, entra, "administrator", "Sites.FullControl.All")
    made = (await http.post(PERMISSIONS, json=GRANT)).json()
    [listed] = (await http.get(PERMISSIONS)).json()["value"]
    single = (await http.get(f"{PERMISSIONS}/{made['id']}")).json()

    assert (listed["roles"], single["roles"]) == ([], ["write"])
