"""The Graph stand-in, seen by msgraph-sdk and by raw requests."""

from typing import Any

import httpx
import pytest
from azure.core.credentials_async import AsyncTokenCredential
from cryptography.hazmat.primitives.asymmetric import rsa
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_authentication_azure.azure_identity_authentication_provider import (
    AzureIdentityAuthenticationProvider,
)
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.field_value_set import FieldValueSet
from msgraph.generated.models.internet_message_header import InternetMessageHeader
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.list_item import ListItem
from msgraph.generated.models.message import Message
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody
from msgraph_core import GraphClientFactory

from local.entra.service import Entra
from local.graph import service
from local.tenant import identities
from local.tenant.model import MAIL_SENDER, SHAREPOINT_LIST, SHAREPOINT_SITE, Cloud, Incident
from tests.support.asgi import Credential, client

# msgraph-sdk defines deprecated classes in every request builder; so these are imported inside the tests.
pytestmark = pytest.mark.filterwarnings("ignore:(This class|GetQueryParameters) is deprecated:DeprecationWarning")

ITEMS = f"/v1.0/sites/{SHAREPOINT_SITE}/lists/{SHAREPOINT_LIST}/items"
SEND = f"/v1.0/users/{MAIL_SENDER}/sendMail"
FIELDS = {"Title": "Leaked SAS: robustmodels/key2", "FindingId": "f1", "Severity": "High"}


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(identities=identities.directory(), users=identities.users())


@pytest.fixture
def entra(cloud: Cloud, key: rsa.RSAPrivateKey) -> Entra:
    return Entra(cloud, key=key)


@pytest.fixture
def sdk(cloud: Cloud, entra: Entra) -> GraphServiceClient:
    credential: AsyncTokenCredential = Credential(entra, cloud.identities["responder"])
    authentication = AzureIdentityAuthenticationProvider(credential, allowed_hosts=["graph.microsoft.com"])
    transport = httpx.ASGITransport(app=service.app(cloud, entra))
    http = GraphClientFactory.create_with_default_middleware(client=httpx.AsyncClient(transport=transport))
    return GraphServiceClient(request_adapter=GraphRequestAdapter(authentication, http))


@pytest.fixture
def raw(cloud: Cloud, entra: Entra) -> httpx.AsyncClient:
    return as_identity(cloud, entra, "responder")


def as_identity(cloud: Cloud, entra: Entra, name: str) -> httpx.AsyncClient:
    token = entra.mint(cloud.identities[name], audience="https://graph.microsoft.com")
    return client(service.app(cloud, entra), "graph.microsoft.com", token=token)


def code(response: httpx.Response) -> str:
    return str(response.json()["error"]["code"])


# Users


async def test_the_sdk_reads_a_basic_profile_by_principal_name(sdk: GraphServiceClient) -> None:
    from msgraph.generated.users.item.user_item_request_builder import UserItemRequestBuilder

    parameters = UserItemRequestBuilder.UserItemRequestBuilderGetQueryParameters(
        select=["id", "displayName", "mail", "userPrincipalName"]
    )
    user = await sdk.users.by_user_id("model-owner@contoso.com").get(
        RequestConfiguration(query_parameters=parameters)
    )
    assert user is not None
    assert (user.display_name, user.mail) == ("Model Owner", "model-owner@contoso.com")


async def test_the_sdk_learns_that_a_user_does_not_exist(sdk: GraphServiceClient) -> None:
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
async def test_a_user_is_found_by_id_or_name_in_any_case(raw: httpx.AsyncClient, name: str) -> None:
    response = await raw.get(f"/v1.0/users/{name}")
    assert response.json()["userPrincipalName"] == "model-owner@contoso.com"


async def test_a_guest_is_not_found_by_mail_but_by_principal_name(raw: httpx.AsyncClient) -> None:
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
async def test_a_wrong_user_query_is_refused(raw: httpx.AsyncClient, query: str) -> None:
    response = await raw.get(f"/v1.0/users/model-owner@contoso.com?{query}")
    assert (response.status_code, code(response)) == (400, "BadRequest")


# Service principals

RESPONDER = "81ee9332-c35d-4c3e-9f21-3f7f99e80623"


async def test_the_sdk_reads_a_managed_identity_by_its_object_id(sdk: GraphServiceClient, cloud: Cloud) -> None:
    found = await sdk.service_principals.by_service_principal_id(RESPONDER).get()
    assert found is not None
    assert (found.id, found.app_id) == (RESPONDER, cloud.identities["responder"].client_id)


@pytest.mark.parametrize(
    "object_id",
    ["00000000-0000-4000-8000-000000000000", "796556ab-fd10-43fd-9d38-1b5021839270"],
    ids=["nobody", "a person"],
)
async def test_what_is_no_service_principal_is_not_found(raw: httpx.AsyncClient, object_id: str) -> None:
    response = await raw.get(f"/v1.0/servicePrincipals/{object_id}")
    assert (response.status_code, code(response)) == (404, "Request_ResourceNotFound")


async def test_only_what_is_selected_of_a_service_principal_is_shown(raw: httpx.AsyncClient) -> None:
    response = await raw.get(f"/v1.0/servicePrincipals/{RESPONDER}?$select=id")
    assert {name for name in response.json() if not name.startswith("@")} == {"id"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [("not-a-guid", "Request_BadRequest"), (f"{RESPONDER}?$select=nosuch", "BadRequest")],
)
async def test_a_wrong_service_principal_query_is_refused(raw: httpx.AsyncClient, path: str, expected: str) -> None:
    response = await raw.get(f"/v1.0/servicePrincipals/{path}")
    assert (response.status_code, code(response)) == (400, expected)


# Rights and protocol


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1.0/users/model-owner@contoso.com", "Authorization_RequestDenied"),
        ("GET", f"/v1.0/servicePrincipals/{RESPONDER}", "Authorization_RequestDenied"),
        ("POST", SEND, "ErrorAccessDenied"),
        ("GET", ITEMS, "accessDenied"),
    ],
)
async def test_each_operation_needs_its_role(
    cloud: Cloud, entra: Entra, method: str, path: str, expected: str
) -> None:
    async with as_identity(cloud, entra, "developer") as http:
        response = await http.request(method, path)
    assert (response.status_code, code(response)) == (403, expected)


@pytest.mark.parametrize("path", ["/v1.0/users/model-owner@contoso.com", ITEMS, "/v1.0/nosuch"])
async def test_a_token_is_asked_for_before_anything_is_said(cloud: Cloud, entra: Entra, path: str) -> None:
    async with client(service.app(cloud, entra), "graph.microsoft.com") as http:
        response = await http.get(path)
    assert (response.status_code, code(response)) == (401, "InvalidAuthenticationToken")
    assert "www-authenticate" in response.headers


async def test_a_token_for_another_audience_is_refused(cloud: Cloud, entra: Entra) -> None:
    token = entra.mint(cloud.identities["responder"], audience="https://management.azure.com")
    async with client(service.app(cloud, entra), "graph.microsoft.com", token=token) as http:
        response = await http.get("/v1.0/users/model-owner@contoso.com")
    assert response.status_code == 401
    assert "audience" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1.0/security/incidents", 400),
        ("GET", "/beta/users/model-owner@contoso.com", 400),
        ("DELETE", "/v1.0/users/model-owner@contoso.com", 405),
        ("GET", SEND, 405),
        ("PUT", ITEMS, 405),
    ],
)
async def test_what_is_not_stood_in_for_is_refused(
    raw: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await raw.request(method, path)
    assert response.status_code == status


async def test_answers_carry_request_ids(raw: httpx.AsyncClient) -> None:
    found = await raw.get("/v1.0/users/model-owner@contoso.com", headers={"client-request-id": "mine"})
    missing = await raw.get("/v1.0/users/nobody@contoso.com")
    assert found.headers["client-request-id"] == "mine"
    assert missing.json()["error"]["innerError"]["request-id"] == missing.headers["request-id"]


@pytest.mark.parametrize("path", [SEND, ITEMS])
@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{}", None, 400),
        (b"{}", "text/plain", 415),
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"message":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "application/json", 400),
        (b'{"fields": {"Title": "\\ud800"}}', "application/json", 400),
    ],
)
async def test_a_body_must_be_a_json_object(
    raw: httpx.AsyncClient, path: str, content: bytes, content_type: str | None, status: int
) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    response = await raw.post(path, content=content, headers=headers)
    assert response.status_code == status


# Mail


def recipient(address: str) -> dict[str, Any]:
    return {"emailAddress": {"address": address}}


def mail(**changes: Any) -> dict[str, Any]:
    message = {
        "subject": "Revoked",
        "body": {"contentType": "HTML", "content": "<p>key2</p>"},
        "toRecipients": [recipient("model-owner@contoso.com")],
    }
    return {"message": message | changes, "saveToSentItems": True}


async def test_a_mail_sent_by_the_sdk_is_recorded(sdk: GraphServiceClient, cloud: Cloud) -> None:
    body = SendMailPostRequestBody(
        message=Message(
            subject="Revoked: robustmodels/key2",
            body=ItemBody(content_type=BodyType.Text, content="What happened"),
            to_recipients=[Recipient(email_address=EmailAddress(address="model-owner@contoso.com", name="M"))],
            cc_recipients=[Recipient(email_address=EmailAddress(address="security@contoso.com"))],
            internet_message_headers=[InternetMessageHeader(name="x-sasquash-finding", value="f1")],
        ),
        save_to_sent_items=True,
    )
    await sdk.users.by_user_id(MAIL_SENDER).send_mail.post(body)
    (sent,) = cloud.mails
    assert (sent.sender, sent.to, sent.cc) == (
        MAIL_SENDER,
        ("model-owner@contoso.com",),
        ("security@contoso.com",),
    )
    assert (sent.subject, sent.body, sent.content_type) == (
        "Revoked: robustmodels/key2",
        "What happened",
        "text",
    )


async def test_an_accepted_mail_has_an_empty_answer(raw: httpx.AsyncClient) -> None:
    response = await raw.post(SEND, json=mail())
    assert (response.status_code, response.content) == (202, b"")


async def test_the_sender_may_be_named_by_object_id(raw: httpx.AsyncClient, cloud: Cloud) -> None:
    response = await raw.post(f"/v1.0/users/{cloud.users[MAIL_SENDER].object_id}/sendMail", json=mail())
    assert (response.status_code, cloud.mails[0].sender) == (202, MAIL_SENDER)


@pytest.mark.parametrize(
    ("sender", "status", "expected"),
    [
        ("model-owner@contoso.com", 403, "ErrorAccessDenied"),
        ("nobody@contoso.com", 404, "ErrorInvalidUser"),
    ],
)
async def test_only_the_products_own_mailbox_may_be_sent_from(
    raw: httpx.AsyncClient, cloud: Cloud, sender: str, status: int, expected: str
) -> None:
    response = await raw.post(f"/v1.0/users/{sender}/sendMail", json=mail())
    assert (response.status_code, code(response), cloud.mails) == (status, expected, [])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "RequestBodyRead"),
        (mail() | {"later": True}, "RequestBodyRead"),
        (mail() | {"saveToSentItems": "yes"}, "RequestBodyRead"),
        (mail(toRecipients=[]), "ErrorInvalidRecipients"),
        (mail(toRecipients=[recipient("not an address")]), "ErrorInvalidRecipients"),
        (mail(toRecipients=[recipient("a@contoso.com; b@contoso.com")]), "ErrorInvalidRecipients"),
        (mail(ccRecipients=[recipient("")]), "ErrorInvalidRecipients"),
        (mail(toRecipients=[{"address": "a@contoso.com"}]), "RequestBodyRead"),
        (mail(toRecipients=recipient("a@contoso.com")), "RequestBodyRead"),
        (mail(toRecipients=[recipient("a@contoso.com")] * 501), "ErrorInvalidRecipients"),
        (mail(subject=""), "RequestBodyRead"),
        (mail(subject="x" * 256), "RequestBodyRead"),
        (mail(body={"contentType": "Markdown", "content": "x"}), "RequestBodyRead"),
        (mail(body={"content": "x"}), "RequestBodyRead"),
        (mail(body={"contentType": "Text"}), "RequestBodyRead"),
        (mail(body="x"), "RequestBodyRead"),
        (mail(attachments=[]), "RequestBodyRead"),
        (mail(importance="urgent"), "RequestBodyRead"),
        (mail(internetMessageHeaders=[{"name": "Precedence", "value": "x"}]), "InvalidInternetMessageHeader"),
        (
            mail(internetMessageHeaders=[{"name": f"x-{n}", "value": ""} for n in range(6)]),
            "InvalidInternetMessageHeaderCollection",
        ),
    ],
)
async def test_a_wrong_mail_is_refused_and_not_recorded(
    raw: httpx.AsyncClient, cloud: Cloud, body: dict[str, Any], expected: str
) -> None:
    response = await raw.post(SEND, json=body)
    assert (response.status_code, code(response), cloud.mails) == (400, expected, [])


# The list


def by_finding(finding_id: str) -> RequestConfiguration[Any]:
    from msgraph.generated.sites.item.lists.item.items.items_request_builder import ItemsRequestBuilder

    return RequestConfiguration(
        query_parameters=ItemsRequestBuilder.ItemsRequestBuilderGetQueryParameters(
            expand=["fields"], filter=f"fields/FindingId eq '{finding_id}'"
        )
    )


async def test_the_sdk_files_finds_and_updates_an_item(sdk: GraphServiceClient, cloud: Cloud) -> None:
    items = sdk.sites.by_site_id(SHAREPOINT_SITE).lists.by_list_id(SHAREPOINT_LIST).items
    created = await items.post(ListItem(fields=FieldValueSet(additional_data=dict(FIELDS))))
    assert created is not None
    assert created.id == "1"
    changes = FieldValueSet(additional_data={"Status": "Proven"})
    await items.by_list_item_id("1").fields.patch(changes)
    found = await items.get(by_finding("f1"))
    assert found is not None
    assert found.value is not None
    assert [item.fields.additional_data["Status"] for item in found.value if item.fields] == ["Proven"]
    assert cloud.incidents[0].fields == FIELDS | {"Status": "Proven"}


async def test_the_sdk_finds_nothing_where_nothing_was_filed(sdk: GraphServiceClient) -> None:
    items = sdk.sites.by_site_id(SHAREPOINT_SITE).lists.by_list_id(SHAREPOINT_LIST).items
    found = await items.get(by_finding("f1"))
    assert found is not None
    assert found.value == []


async def test_a_finding_id_is_unique_without_regard_to_case(raw: httpx.AsyncClient, cloud: Cloud) -> None:
    await raw.post(ITEMS, json={"fields": FIELDS})
    response = await raw.post(ITEMS, json={"fields": FIELDS | {"FindingId": "F1"}})
    assert (response.status_code, code(response)) == (400, "invalidRequest")
    assert "unique constraints" in response.json()["error"]["message"]
    assert len(cloud.incidents) == 1


async def test_an_update_cannot_take_anothers_finding_id(raw: httpx.AsyncClient, cloud: Cloud) -> None:
    await raw.post(ITEMS, json={"fields": FIELDS})
    await raw.post(ITEMS, json={"fields": {"FindingId": "f2"}})
    taken = await raw.patch(f"{ITEMS}/2/fields", json={"FindingId": "f1"})
    own = await raw.patch(f"{ITEMS}/2/fields", json={"FindingId": "f2"})
    assert (taken.status_code, own.status_code) == (400, 200)
    assert cloud.incidents[1].fields == {"FindingId": "f2"}


@pytest.mark.parametrize(
    "fields",
    [
        {"Titel": "2026-11-21T10:00:00Z"},
        {"Title": 1},
        {"Title": "x" * 256},
        {"Title": "two\nlines"},
        {"Summary": "x" * 64_000},
        {"DetectedAt": "yesterday"},
        {"DetectedAt": "2026-11-21T10:00:00"},
    ],
)
async def test_a_wrong_field_is_refused_and_nothing_is_filed(
    raw: httpx.AsyncClient, cloud: Cloud, fields: dict[str, object]
) -> None:
    response = await raw.post(ITEMS, json={"fields": FIELDS | fields})
    assert (response.status_code, code(response), cloud.incidents) == (400, "invalidRequest", [])


async def test_every_known_column_can_be_filled(raw: httpx.AsyncClient, cloud: Cloud) -> None:
    fields = FIELDS | {
        "Status": "Contained",
        "Account": "robustmodels",
        "ResourceId": "/subscriptions/" + "x" * 300,
        "Key": "key2",
        "Source": "https://github.com/" + "x" * 300,
        "Owners": "a@contoso.com; b@contoso.com",
        "DetectedAt": "2026-11-21T10:00:00Z",
        "Summary": "one\ntwo",
        "NextStep": "rotate\nconsumers",
    }
    response = await raw.post(ITEMS, json={"fields": fields})
    assert response.status_code == 201
    assert cloud.incidents[0].fields == fields


@pytest.mark.parametrize("body", [{}, {"fields": "x"}, {"fields": {}, "name": "x"}])
async def test_a_new_item_is_nothing_but_fields(raw: httpx.AsyncClient, body: dict[str, object]) -> None:
    response = await raw.post(ITEMS, json=body)
    assert (response.status_code, code(response)) == (400, "invalidRequest")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("$filter=fields/Status eq 'x'", "invalidRequest"),
        ("$filter=fields/Nosuch eq 'x'", "invalidRequest"),
        ("$filter=FindingId eq 'x'", "BadRequest"),
        ("$filter=fields/FindingId eq 'x' or fields/FindingId eq 'y'", "BadRequest"),
        ("$filter=fields/FindingId eq 'it's'", "BadRequest"),
        ("$orderby=fields/FindingId", "BadRequest"),
        ("$expand=columns", "BadRequest"),
        ("$top=0", "BadRequest"),
        ("$top=many", "BadRequest"),
    ],
)
async def test_a_wrong_list_query_is_refused(raw: httpx.AsyncClient, query: str, expected: str) -> None:
    await raw.post(ITEMS, json={"fields": FIELDS})
    response = await raw.get(f"{ITEMS}?{query}")
    assert (response.status_code, code(response)) == (400, expected)


async def test_a_column_that_is_not_indexed_is_named_in_the_refusal(raw: httpx.AsyncClient) -> None:
    response = await raw.get(f"{ITEMS}?$filter=fields/Status eq 'Contained'")
    assert "'Status' cannot be referenced in filter or orderby as it is not indexed" in response.text


async def test_a_quote_in_a_filter_is_doubled(raw: httpx.AsyncClient) -> None:
    await raw.post(ITEMS, json={"fields": {"FindingId": "it's"}})
    found = await raw.get(f"{ITEMS}?$filter=fields/FindingId eq 'it''s'")
    assert len(found.json()["value"]) == 1


async def test_fields_are_shown_only_when_expanded(raw: httpx.AsyncClient) -> None:
    await raw.post(ITEMS, json={"fields": FIELDS})
    plain = (await raw.get(ITEMS)).json()["value"][0]
    expanded = (await raw.get(f"{ITEMS}?$expand=fields($select=Title)")).json()["value"][0]
    assert "fields" not in plain
    assert {n for n in expanded["fields"] if not n.startswith("@")} == {"Title"}


async def test_a_long_list_has_pages(raw: httpx.AsyncClient) -> None:
    for number in range(5):
        await raw.post(ITEMS, json={"fields": {"FindingId": f"f{number}"}})
    seen: list[str] = []
    url = f"{ITEMS}?$top=2"
    while url:
        page = (await raw.get(url)).json()
        seen += [item["id"] for item in page["value"]]
        url = page.get("@odata.nextLink", "")
    assert seen == ["1", "2", "3", "4", "5"]


async def test_one_item_is_read_with_its_fields(raw: httpx.AsyncClient) -> None:
    await raw.post(ITEMS, json={"fields": FIELDS})
    found = await raw.get(f"{ITEMS}/1")
    missing = await raw.get(f"{ITEMS}/2")
    assert found.json()["fields"]["FindingId"] == "f1"
    assert (missing.status_code, code(missing)) == (404, "itemNotFound")


async def test_null_clears_a_field(raw: httpx.AsyncClient) -> None:
    await raw.post(ITEMS, json={"fields": FIELDS})
    response = await raw.patch(f"{ITEMS}/1/fields", json={"Severity": None})
    assert "Severity" not in response.json()


async def test_an_update_with_an_old_etag_is_refused(raw: httpx.AsyncClient, cloud: Cloud) -> None:
    etag = (await raw.post(ITEMS, json={"fields": FIELDS})).json()["eTag"]
    url, headers = f"{ITEMS}/1/fields", {"if-match": etag}
    first = await raw.patch(url, json={"Status": "Proven"}, headers=headers)
    second = await raw.patch(url, json={"Status": "Closed"}, headers=headers)
    assert (first.status_code, second.status_code) == (200, 412)
    assert cloud.incidents[0].fields["Status"] == "Proven"


async def test_items_of_other_sinks_are_not_in_the_list(raw: httpx.AsyncClient, cloud: Cloud) -> None:
    cloud.incidents.append(Incident(item_id="sentinel-1", sink="sentinel", fields={"FindingId": "f1"}))
    created = await raw.post(ITEMS, json={"fields": FIELDS})
    assert (created.status_code, created.json()["id"]) == (201, "1")


@pytest.mark.parametrize(
    "path",
    [
        ITEMS.replace(SHAREPOINT_SITE, "contoso.sharepoint.com,other,site"),
        ITEMS.replace(SHAREPOINT_LIST, "Incidents"),
    ],
)
async def test_no_other_site_or_list_is_there(raw: httpx.AsyncClient, path: str) -> None:
    response = await raw.get(path)
    assert (response.status_code, code(response)) == (404, "itemNotFound")
