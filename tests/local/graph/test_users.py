"""Users and service principals, read by msgraph-sdk and by raw requests."""

import httpx
import pytest
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph import GraphServiceClient
from msgraph.generated.models.o_data_errors.o_data_error import ODataError

from local.tenant.model import Cloud
from tests.support.graph_requests import RESPONDER, error_code

# Every request builder of msgraph-sdk defines deprecated classes.
pytestmark = pytest.mark.filterwarnings("ignore:(This class|GetQueryParameters) is deprecated:DeprecationWarning")


async def test_sdk_reads_a_basic_profile_by_principal_name(sdk: GraphServiceClient) -> None:
    from msgraph.generated.users.item.user_item_request_builder import UserItemRequestBuilder

    parameters = UserItemRequestBuilder.UserItemRequestBuilderGetQueryParameters(
        select=["id", "displayName", "mail", "userPrincipalName"]
    )
    user = await sdk.users.by_user_id("model-owner@contoso.com").get(
        RequestConfiguration(query_parameters=parameters)
    )
    assert user is not None
    assert (user.display_name, user.mail) == ("Model Owner", "model-owner@contoso.com")


async def test_sdk_reports_a_missing_user(sdk: GraphServiceClient) -> None:
    with pytest.raises(ODataError) as caught:
        await sdk.users.by_user_id("nobody@contoso.com").get()
    assert caught.value.response_status_code == 404
    assert caught.value.error is not None
    assert caught.value.error.code == "Request_ResourceNotFound"


@pytest.mark.parametrize(
    "name",
    [
        "796556ab-fd10-43fd-9d38-1b5021839270",
        "Model-Owner@Contoso.com",
        "model-owner%40contoso.com",
    ],
)
async def test_user_is_found_by_id_or_name_in_any_case(raw: httpx.AsyncClient, name: str) -> None:
    response = await raw.get(f"/v1.0/users/{name}")
    assert response.json()["userPrincipalName"] == "model-owner@contoso.com"


async def test_guest_is_not_found_by_mail_but_by_principal_name(raw: httpx.AsyncClient) -> None:
    by_mail = await raw.get("/v1.0/users/gil@fabrikam.com")
    by_name = await raw.get("/v1.0/users/gil_fabrikam.com%23EXT%23@contoso.onmicrosoft.com")
    assert (by_mail.status_code, by_name.json()["mail"]) == (404, "gil@fabrikam.com")


async def test_only_what_is_selected_is_shown(raw: httpx.AsyncClient) -> None:
    response = await raw.get("/v1.0/users/model-owner@contoso.com?$select=mail")
    assert {name for name in response.json() if not name.startswith("@")} == {"mail"}


async def test_properties_beyond_the_basic_profile_are_left_out(raw: httpx.AsyncClient) -> None:
    response = await raw.get("/v1.0/users/former-owner@contoso.com?$select=id,accountEnabled")
    assert response.status_code == 200
    assert "accountEnabled" not in response.json()


@pytest.mark.parametrize("query", ["$select=nosuch", "$expand=manager", "select=mail&id=x"])
async def test_invalid_user_query_is_refused(raw: httpx.AsyncClient, query: str) -> None:
    response = await raw.get(f"/v1.0/users/model-owner@contoso.com?{query}")
    assert (response.status_code, error_code(response)) == (400, "BadRequest")


async def test_sdk_reads_a_managed_identity_by_its_object_id(sdk: GraphServiceClient, cloud: Cloud) -> None:
    found = await sdk.service_principals.by_service_principal_id(RESPONDER).get()
    assert found is not None
    assert (found.id, found.app_id) == (RESPONDER, cloud.identities["responder"].client_id)


@pytest.mark.parametrize(
    "object_id",
    ["00000000-0000-4000-8000-000000000000", "796556ab-fd10-43fd-9d38-1b5021839270"],
    ids=["nobody", "a person"],
)
async def test_id_of_another_object_is_not_found(raw: httpx.AsyncClient, object_id: str) -> None:
    response = await raw.get(f"/v1.0/servicePrincipals/{object_id}")
    assert (response.status_code, error_code(response)) == (404, "Request_ResourceNotFound")


async def test_only_what_is_selected_of_a_service_principal_is_shown(raw: httpx.AsyncClient) -> None:
    response = await raw.get(f"/v1.0/servicePrincipals/{RESPONDER}?$select=id")
    assert {name for name in response.json() if not name.startswith("@")} == {"id"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [("not-a-guid", "Request_BadRequest"), (f"{RESPONDER}?$select=nosuch", "BadRequest")],
)
async def test_invalid_service_principal_query_is_refused(raw: httpx.AsyncClient, path: str, expected: str) -> None:
    response = await raw.get(f"/v1.0/servicePrincipals/{path}")
    assert (response.status_code, error_code(response)) == (400, expected)
