"""Mail that is sent through Graph: what is recorded, and what is refused."""

from typing import Any

import httpx
import pytest
from msgraph import GraphServiceClient
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.internet_message_header import InternetMessageHeader
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.message import Message
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody

from local.tenant.model import MAIL_SENDER, Cloud
from tests.support.graph_requests import SEND, error_code

# Every request builder of msgraph-sdk defines deprecated classes.
pytestmark = pytest.mark.filterwarnings("ignore:(This class|GetQueryParameters) is deprecated:DeprecationWarning")


def recipient(address: str) -> dict[str, Any]:
    return {"emailAddress": {"address": address}}


def mail(**changes: Any) -> dict[str, Any]:
    message = {
        "subject": "Revoked",
        "body": {"contentType": "HTML", "content": "<p>key2</p>"},
        "toRecipients": [recipient("model-owner@contoso.com")],
    }
    return {"message": message | changes, "saveToSentItems": True}


async def test_mail_sent_by_the_sdk_is_recorded(sdk: GraphServiceClient, cloud: Cloud) -> None:
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


async def test_accepted_mail_has_an_empty_answer(raw: httpx.AsyncClient) -> None:
    response = await raw.post(SEND, json=mail())
    assert (response.status_code, response.content) == (202, b"")


async def test_sender_may_be_named_by_object_id(raw: httpx.AsyncClient, cloud: Cloud) -> None:
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
    assert (response.status_code, error_code(response), cloud.mails) == (status, expected, [])


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
async def test_invalid_mail_is_refused_and_not_recorded(
    raw: httpx.AsyncClient, cloud: Cloud, body: dict[str, Any], expected: str
) -> None:
    response = await raw.post(SEND, json=body)
    assert (response.status_code, error_code(response), cloud.mails) == (400, expected, [])
