"""Graph's `sendMail` (learn.microsoft.com/graph/api/user-sendmail): records the mail instead of sending it.

Mail can only be sent from MAIL_SENDER, as Exchange's RBAC for Applications limits an app to some mailboxes.
Properties of a message that the product does not use (attachments, Bcc, From) are refused as unknown.
"""

import re
from typing import Any

from starlette.responses import Response

from local.graph.protocol import Call, GraphError, parameters, read_json
from local.tenant.model import MAIL_SENDER, Mail, now

ROLE = "Mail.Send"

_REQUEST = frozenset({"message", "savetosentitems"})
_MESSAGE = frozenset(
    {"@odata.type", "subject", "body", "toRecipients", "ccRecipients", "replyTo", "importance"}
    | {"internetMessageHeaders"}
)
_CONTENT_TYPES = {"html": "html", "text": "text"}
_IMPORTANCES = (None, "low", "normal", "high")
_LONGEST_SUBJECT = 255
_MOST_HEADERS = 5
_MOST_RECIPIENTS = 500
_ADDRESS = re.compile(r"[^\s@<>,;\"]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


async def send_mail(call: Call) -> Response:
    """Accept a mail: 202 with an empty body, which does not confirm delivery."""
    parameters(call.request)
    body = await read_json(call.request)
    sender = call.name("user").lower()
    mailbox = call.cloud.users.get(sender) or next(
        (user for user in call.cloud.users.values() if user.object_id == sender), None
    )
    if mailbox is None:
        raise GraphError(404, "ErrorInvalidUser", f"The requested user '{call.name('user')}' is invalid.")
    if mailbox.user_principal_name.lower() != MAIL_SENDER.lower():
        raise GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
    call.cloud.mails.append(_read_mail(body, sender=mailbox.user_principal_name))
    return Response(status_code=202)


def _read_mail(body: dict[str, Any], *, sender: str) -> Mail:
    # Graph accepts names of action parameters in any case; msgraph-sdk capitalizes them.
    request = {name.lower(): value for name, value in body.items()}
    _reject_unknown(request, _REQUEST, of="sendMail")
    if not isinstance(request.get("savetosentitems", True), bool):
        raise _unreadable("Cannot convert the value of 'SaveToSentItems' to 'Edm.Boolean'.")
    message = _object(request.get("message"), "Message")
    _reject_unknown(message, _MESSAGE, of="microsoft.graph.message")
    if message.get("importance") not in _IMPORTANCES:
        raise _unreadable("The property 'importance' must be low, normal or high.")
    _check_headers(message.get("internetMessageHeaders"))
    _addresses(message, "replyTo")
    to, cc = _addresses(message, "toRecipients"), _addresses(message, "ccRecipients")
    if not to and not cc:
        raise _invalid_recipients("At least one recipient is not valid.")
    if len(to) + len(cc) > _MOST_RECIPIENTS:
        raise _invalid_recipients(f"A message has at most {_MOST_RECIPIENTS} recipients.")
    subject = message.get("subject")
    if not isinstance(subject, str) or not subject.strip() or len(subject) > _LONGEST_SUBJECT:
        raise _unreadable(f"The property 'subject' must be a string of 1 to {_LONGEST_SUBJECT} characters.")
    content = _object(message.get("body"), "body")
    _reject_unknown(content, frozenset({"@odata.type", "contentType", "content"}), of="microsoft.graph.itemBody")
    content_type = _CONTENT_TYPES.get(str(content.get("contentType")).lower())
    if content_type is None:
        raise _unreadable("The property 'contentType' must be HTML or Text.")
    if not isinstance(content.get("content"), str):
        raise _unreadable("The property 'content' must be a string.")
    return Mail(
        sender=sender,
        to=to,
        cc=cc,
        subject=subject,
        body=content["content"],
        content_type=content_type,
        sent_at=now(),
    )


def _addresses(message: dict[str, Any], name: str) -> tuple[str, ...]:
    recipients = message.get(name, [])
    if not isinstance(recipients, list):
        raise _unreadable(f"The property '{name}' must be a collection.")
    return tuple(_address(recipient) for recipient in recipients)


def _address(recipient: object) -> str:
    members = _object(recipient, "recipient")
    _reject_unknown(members, frozenset({"@odata.type", "emailAddress"}), of="microsoft.graph.recipient")
    email = _object(members.get("emailAddress"), "emailAddress")
    _reject_unknown(email, frozenset({"@odata.type", "name", "address"}), of="microsoft.graph.emailAddress")
    address = email.get("address")
    if not isinstance(address, str) or _ADDRESS.fullmatch(address) is None:
        raise _invalid_recipients(
            f"At least one recipient is not valid., Recipient '{address}' is not resolved. All recipients must be "
            "resolved before a message can be submitted."
        )
    return address


def _check_headers(headers: object) -> None:
    if headers is None:
        return
    if not isinstance(headers, list) or len(headers) > _MOST_HEADERS:
        raise GraphError(
            400, "InvalidInternetMessageHeaderCollection", f"At most {_MOST_HEADERS} headers can be set."
        )
    for header in headers:
        members = _object(header, "internetMessageHeader")
        name, value = members.get("name"), members.get("value")
        if not isinstance(name, str) or not name.lower().startswith("x-") or not isinstance(value, str):
            raise GraphError(
                400,
                "InvalidInternetMessageHeader",
                f"The internet message header name '{name}' should start with 'x-' or 'X-'.",
            )


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _unreadable(f"The property '{name}' is required and must be an object.")
    return value


def _reject_unknown(members: dict[str, Any], known: frozenset[str], *, of: str) -> None:
    for member in members:
        if member not in known:
            raise _unreadable(
                f"The property '{member}' does not exist on type '{of}'. Make sure to only use property names that "
                "are defined by the type."
            )


def _unreadable(message: str) -> GraphError:
    return GraphError(400, "RequestBodyRead", message)


def _invalid_recipients(message: str) -> GraphError:
    return GraphError(400, "ErrorInvalidRecipients", message)
