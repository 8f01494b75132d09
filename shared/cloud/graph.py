"""Calls to Microsoft Graph. Only this module imports msgraph and kiota (heavy).

Each call is sent exactly once: kiota's middleware, which would repeat a POST on 429, 503 and 504 and follow
redirects, is left out. Callers decide whether to retry. Failures are those of `shared.errors`; their
texts have Graph's error code and never a body, an address or a token.
"""

import asyncio
import re
from collections.abc import Coroutine, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError
from kiota_abstractions.api_error import APIError
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_authentication_azure.azure_identity_authentication_provider import (
    AzureIdentityAuthenticationProvider,
)
from kiota_http.observability_options import ObservabilityOptions
from msgraph import GraphServiceClient
from msgraph.generated.groups.item.transitive_members.graph_user.graph_user_request_builder import (
    GraphUserRequestBuilder,
)
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.field_value_set import FieldValueSet
from msgraph.generated.models.internet_message_header import InternetMessageHeader
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.list_item import ListItem
from msgraph.generated.models.list_item_collection_response import ListItemCollectionResponse
from msgraph.generated.models.message import Message as GraphMessage
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.models.service_principal import ServicePrincipal
from msgraph.generated.models.user import User
from msgraph.generated.models.user_collection_response import UserCollectionResponse
from msgraph.generated.service_principals.item.owners.owners_request_builder import OwnersRequestBuilder
from msgraph.generated.service_principals.item.service_principal_item_request_builder import (
    ServicePrincipalItemRequestBuilder,
)
from msgraph.generated.sites.item.lists.item.items.items_request_builder import ItemsRequestBuilder
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody
from msgraph.generated.users.item.user_item_request_builder import UserItemRequestBuilder
from msgraph.graph_request_adapter import GraphRequestAdapter

from shared.cloud.errors import from_azure, from_status, retry_after
from shared.domain.guid import is_guid
from shared.domain.message import Message
from shared.domain.person import Person
from shared.errors import Blocked, NotFound, SasquashError, TransientFailure

_PERSON = ["id", "displayName", "mail", "userPrincipalName"]
_FINDING_ID = re.compile(r"[0-9a-f]{64}")
_HEADER_VALUE = re.compile(r"[A-Za-z0-9+/=_-]{1,64}")
_ERROR_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Graph:
    """Microsoft Graph v1.0 as one application. Make one, and close it; the credential stays its maker's.

    `base_url` is the cloud's Graph with no path ("https://graph.microsoft.com"); the token goes nowhere else.
    `timeout` is for a whole call, in seconds. `transport` replaces the network in tests.
    """

    def __init__(
        self,
        credential: AsyncTokenCredential,
        *,
        base_url: str,
        timeout: float = 20.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._timeout = timeout
        self._http = httpx.AsyncClient(
            transport=transport, timeout=timeout, event_hooks={"response": [_refuse_what_kiota_would_not]}
        )
        authentication = AzureIdentityAuthenticationProvider(
            credential, allowed_hosts=[urlsplit(base_url).hostname or ""]
        )
        adapter = GraphRequestAdapter(authentication, client=self._http)
        adapter.base_url = f"{base_url}/v1.0"
        adapter.observability_options = ObservabilityOptions(include_euii_attributes=False)
        self._client = GraphServiceClient(request_adapter=adapter)

    async def close(self) -> None:
        await self._http.aclose()

    async def user(self, address: str) -> Person | None:
        """Return the user whose principal name or object id it is; None if there is none. Needs User.ReadBasic.All.

        https://learn.microsoft.com/graph/api/user-get
        """
        query = UserItemRequestBuilder.UserItemRequestBuilderGetQueryParameters(select=_PERSON)
        request = self._client.users.by_user_id(address).get(RequestConfiguration(query_parameters=query))
        try:
            user = await self._call(request, doing="Reading an owner from Graph", right="User.ReadBasic.All")
        except NotFound:
            return None
        return None if user is None else Person(user.display_name, user.mail)

    async def members(self, group: str, *, most: int) -> tuple[Person, ...] | None:
        """Return the users in a group and in the groups in it; None if they are more than `most`.

        Needs GroupMember.Read.All, and User.ReadBasic.All for their names. Graph follows nested groups, and loops.
        https://learn.microsoft.com/graph/api/group-list-transitivemembers
        """
        query = GraphUserRequestBuilder.GraphUserRequestBuilderGetQueryParameters(
            count=True, select=_PERSON, top=most + 1
        )
        configuration = RequestConfiguration(query_parameters=query)
        configuration.headers.add("ConsistencyLevel", "eventual")  # a cast of the members asks for it
        request = self._client.groups.by_group_id(_checked(group)).transitive_members.graph_user.get(configuration)
        try:
            found = await self._call(request, doing="Listing a group's members", right="GroupMember.Read.All")
        except NotFound:
            return ()
        people = _people(found)
        return people if len(people) <= most else None

    async def owners_of_app(self, app: str, *, most: int) -> tuple[Person, ...]:
        """Return the users that own a service principal, at most `most`. Needs Application.Read.All.

        https://learn.microsoft.com/graph/api/serviceprincipal-list-owners
        """
        query = OwnersRequestBuilder.OwnersRequestBuilderGetQueryParameters(select=_PERSON, top=most)
        owners = self._client.service_principals.by_service_principal_id(_checked(app)).owners
        request = owners.get(RequestConfiguration(query_parameters=query))
        try:
            found = await self._call(request, doing="Listing an app's owners", right="Application.Read.All")
        except NotFound:
            return ()
        return _people(found)

    async def principal_exists(self, object_id: str) -> bool:
        """Return whether the tenant has a user or a service principal (an app, a managed identity) of this id.

        Needs User.ReadBasic.All, and for what is no user Application.Read.All.
        https://learn.microsoft.com/graph/api/user-get, https://learn.microsoft.com/graph/api/serviceprincipal-get
        """
        _checked(object_id)
        user = UserItemRequestBuilder.UserItemRequestBuilderGetQueryParameters(select=["id"])
        app = ServicePrincipalItemRequestBuilder.ServicePrincipalItemRequestBuilderGetQueryParameters(select=["id"])
        as_user = self._client.users.by_user_id(object_id)
        as_app = self._client.service_principals.by_service_principal_id(object_id)
        return await self._exists(
            as_user.get(RequestConfiguration(query_parameters=user)), right="User.ReadBasic.All"
        ) or await self._exists(as_app.get(RequestConfiguration(query_parameters=app)), right="Application.Read.All")

    async def _exists(self, request: Coroutine[Any, Any, object], *, right: str) -> bool:
        try:
            found = await self._call(request, doing="Finding up an issuer in Graph", right=right)
        except NotFound:
            return False
        return found is not None

    async def send_mail(self, sender: str, message: Message, *, finding_id: str) -> None:
        """Send `message` from the mailbox `sender`. Returns when Graph has accepted it: that is not delivery.

        `finding_id` becomes the header x-sas-finding. Not idempotent. Needs Mail.Send for `sender`.
        https://learn.microsoft.com/graph/api/user-sendmail
        """
        if not _HEADER_VALUE.fullmatch(finding_id):
            raise ValueError("the header x-sas-finding takes 1 to 64 characters of base64")
        body = SendMailPostRequestBody(
            message=GraphMessage(
                subject=message.subject,
                body=ItemBody(content_type=BodyType.Html, content=message.html),
                to_recipients=_recipients(message.to),
                cc_recipients=_recipients(message.cc),
                internet_message_headers=[InternetMessageHeader(name="x-sas-finding", value=finding_id)],
            ),
            save_to_sent_items=True,
        )
        request = self._client.users.by_user_id(sender).send_mail.post(body)
        await self._call(request, doing="Sending the mail", right="Mail.Send for SASQUASH_MAIL_SENDER")

    async def find_list_item(self, *, site: str, list_: str, finding_id: str) -> str | None:
        """Return the id of the list's item whose column FindingId is `finding_id` (64 hex digits), or None.

        Needs Sites.Selected with a read grant, and an index on the column.
        https://learn.microsoft.com/graph/api/listitem-list
        """
        if not _FINDING_ID.fullmatch(finding_id):
            raise ValueError("a finding id is 64 lower-case hex digits; nothing else goes into a filter")
        query = ItemsRequestBuilder.ItemsRequestBuilderGetQueryParameters(
            expand=["fields"], filter=f"fields/FindingId eq '{finding_id}'"
        )
        request = self._items(site, list_).get(RequestConfiguration(query_parameters=query))
        doing = "Finding for the incident"
        answer = await self._call(request, doing=doing, right="Sites.Selected, read")
        if answer is None or answer.value is None:
            raise TransientFailure(f"{doing} failed: the answer holds no list.")
        for item in answer.value:
            if item.id and item.fields and item.fields.additional_data.get("FindingId") == finding_id:
                return str(item.id)
        return None

    async def create_list_item(self, *, site: str, list_: str, fields: Mapping[str, str]) -> str:
        """Create an item and return its id. Not idempotent. Needs Sites.Selected with a write grant.

        https://learn.microsoft.com/graph/api/listitem-create
        """
        item = ListItem(fields=FieldValueSet(additional_data=dict(fields)))
        doing = "Filing the incident"
        created = await self._call(self._items(site, list_).post(item), doing=doing, right="Sites.Selected, write")
        if created is None or not created.id:
            raise TransientFailure(f"{doing} failed: the answer names no item.")
        return str(created.id)

    async def update_list_item(self, *, site: str, list_: str, item_id: str, fields: Mapping[str, str]) -> None:
        """Set columns of an item. Needs Sites.Selected with a write grant.

        https://learn.microsoft.com/graph/api/listitem-update
        """
        request = (
            self._items(site, list_)
            .by_list_item_id(item_id)
            .fields.patch(FieldValueSet(additional_data=dict(fields)))
        )
        await self._call(request, doing="Updating the incident", right="Sites.Selected, write")

    def _items(self, site: str, list_: str) -> ItemsRequestBuilder:
        return self._client.sites.by_site_id(site).lists.by_list_id(list_).items

    async def _call[T](self, request: Coroutine[Any, Any, T], *, doing: str, right: str) -> T:
        # "from None" throughout: the texts of these exceptions hold the answer's body or the request's URL.
        try:
            async with asyncio.timeout(self._timeout):
                return await request
        except APIError as error:
            raise _from_api(error, doing=doing, right=right) from None
        except AzureError as error:
            raise from_azure(error, doing=doing) from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise TransientFailure(f"{doing} failed: no connection ({type(error).__name__}).", sent=False) from None
        except (httpx.HTTPError, TimeoutError) as error:
            raise TransientFailure(f"{doing} failed: no answer ({type(error).__name__}).") from None
        except ValueError:
            raise TransientFailure(f"{doing} failed: the answer is not JSON.") from None


def warm_up() -> None:
    """Import the models that Graph's answers are read into: kiota does that at the first answer, for two seconds."""
    for model in (User(), UserCollectionResponse(), ServicePrincipal(), ListItemCollectionResponse(), ODataError()):
        model.get_field_deserializers()


def _checked(object_id: str) -> str:
    if not is_guid(object_id):
        raise ValueError("an object id is a GUID; nothing else goes into a path")
    return object_id


def _people(found: Any) -> tuple[Person, ...]:
    """Return the users of an answer; other objects have no mailbox, and are left out."""
    return tuple(
        Person(user.display_name, user.mail)
        for user in (found.value if found else None) or ()
        if isinstance(user, User)
    )


async def _refuse_what_kiota_would_not(response: httpx.Response) -> None:
    """Raise for two answers that kiota mistakes.

    Without its redirect middleware it takes a redirect for success, so a mail would count as sent. And at an answer
    that is not JSON, as a gateway may give, it raises a bare Exception.
    """
    if response.is_redirect:
        raise Blocked(f"Graph answered {response.status_code}, a redirect. Check SASQUASH_CLOUD.")
    kind = response.headers.get("Content-Type", "application/json")
    if response.status_code in (200, 201) and not kind.startswith("application/json"):
        raise TransientFailure("Graph's answer is not JSON.")


def _recipients(addresses: tuple[str, ...]) -> list[Recipient]:
    return [Recipient(email_address=EmailAddress(address=address)) for address in addresses]


def _from_api(error: APIError, *, doing: str, right: str) -> SasquashError:
    headers = error.response_headers or {}
    return from_status(
        error.response_status_code or 0, _code(error), doing=doing, retry_after=retry_after(headers), right=right
    )


def _code(error: APIError) -> str | None:
    code = error.error.code if isinstance(error, ODataError) and error.error else None
    return code if code and _ERROR_CODE.fullmatch(code) else None
