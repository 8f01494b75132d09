"""Stored access policies: the document of Get and Set ACL, and what a policy adds to a SAS.

Sources: "Set Container ACL", "Set Queue ACL", "Set Table ACL", "Set Share ACL" and "Define a stored access policy"
(learn.microsoft.com/rest/api/storageservices). That page documents 400 for a field in both token and policy; the
service answers AuthenticationFailed, as does this stand-in.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from xml.sax.saxutils import escape

from local.storage.errors import Refusal
from local.storage.permissions import PERMISSIONS, are_permissions
from local.storage.times import moment
from local.tenant.model import AccessPolicy, SignedIdentifier

MOST_POLICIES = 5
_LONGEST_ID = 64
_LARGEST_DOCUMENT = 64 * 1024
# Element → field, in the order in which Azure writes them.
_FIELDS = {"Start": "start", "Expiry": "expiry", "Permission": "permission"}


def parse(document: bytes, service: str) -> tuple[SignedIdentifier, ...]:
    """Parse the body of Set ACL; an empty body means no policies. Texts are kept as they are written.

    Raises Refusal: InvalidXmlDocument for a document of another shape, InvalidXmlNodeValue for a value out of range.
    """
    if not document:
        return ()
    # A document type could define entities.
    if len(document) > _LARGEST_DOCUMENT or b"<!DOCTYPE" in document:
        raise Refusal("InvalidXmlDocument")
    try:
        root = ET.fromstring(document)
    except (ET.ParseError, LookupError, ValueError):  # the last two: unknown encoding
        raise Refusal("InvalidXmlDocument") from None
    if root.tag != "SignedIdentifiers":
        raise Refusal("InvalidXmlDocument")
    return valid((_identifier(element) for element in root), service)


def valid(identifiers: Iterable[SignedIdentifier], service: str) -> tuple[SignedIdentifier, ...]:
    """Return `identifiers` if they are valid for a resource of `service`. Raises Refusal."""
    found = tuple(identifiers)
    if len(found) > MOST_POLICIES or len({identifier.id for identifier in found}) < len(found):
        raise Refusal("InvalidXmlDocument")
    for identifier in found:
        policy = identifier.policy or AccessPolicy()
        if not 0 < len(identifier.id) <= _LONGEST_ID:
            raise Refusal("InvalidXmlNodeValue")
        if any(text and moment(text) is None for text in (policy.start, policy.expiry)):
            raise Refusal("InvalidXmlNodeValue")
        if not set(policy.permission or "") <= set(PERMISSIONS[service]):
            raise Refusal("InvalidXmlNodeValue")
        if not are_permissions(policy.permission or "", service):
            raise Refusal("InvalidXmlDocument")  # out of order: azure-sdk-for-net#14456
    return found


def render(identifiers: Iterable[SignedIdentifier]) -> bytes:
    """Return the body of Get ACL."""
    inner = "".join(
        f"<SignedIdentifier><Id>{escape(identifier.id)}</Id>{_policy_xml(identifier.policy)}</SignedIdentifier>"
        for identifier in identifiers
    )
    document = f'<?xml version="1.0" encoding="utf-8"?><SignedIdentifiers>{inner}</SignedIdentifiers>'
    return b"\xef\xbb\xbf" + document.encode()  # Azure starts its documents with a byte order mark


@dataclass(frozen=True, slots=True)
class Grant:
    """What a SAS allows together with its policy. Times are texts as in a SAS."""

    start: str | None
    expiry: str
    permission: str


def policy_of(identifiers: Iterable[SignedIdentifier], policy_id: str) -> AccessPolicy:
    """Return the policy with this id. Raises Refusal (AuthenticationFailed) if there is none."""
    for identifier in identifiers:
        if identifier.id == policy_id:
            return identifier.policy or AccessPolicy()
    raise Refusal("AuthenticationFailed", "SAS identifier cannot be found for specified signed identifier")


def grant(token: AccessPolicy, policy: AccessPolicy) -> Grant:
    """Return what a SAS with the fields `token` allows under `policy`.

    Raises Refusal (AuthenticationFailed) for a field that both have, and for a required field that neither has.
    """
    if any(getattr(token, field.name) and getattr(policy, field.name) for field in fields(AccessPolicy)):
        raise Refusal(
            "AuthenticationFailed",
            "Access policy fields can be associated with signature or SAS identifier but not both",
        )
    expiry = token.expiry or policy.expiry
    permission = token.permission or policy.permission
    if not expiry:
        raise Refusal("AuthenticationFailed", "Signed expiry must be specified in signature or SAS identifier")
    if not permission:
        raise Refusal("AuthenticationFailed", "Signed permission must be specified in signature or SAS identifier")
    return Grant(token.start or policy.start or None, expiry, permission)


def check_time(start: str | None, expiry: str | None, *, now: datetime) -> None:
    """Return if `now` is between start and expiry of a SAS. Raises Refusal (AuthenticationFailed)."""
    starts, expires = moment(start), moment(expiry)
    if (start and starts is None) or (expiry and expires is None):
        raise Refusal("AuthenticationFailed", "Signature fields not well formed.")
    if starts is not None and expires is not None and starts >= expires:
        detail = f"Signed expiry time [{_text(expires)}] has to be after signed start time [{_text(starts)}]"
        raise Refusal("AuthenticationFailed", detail)
    if (starts is not None and now < starts) or (expires is not None and now >= expires):
        raise Refusal(
            "AuthenticationFailed",
            f"Signature not valid in the specified time frame: Start [{_text(starts)}] - Expiry [{_text(expires)}] - "
            f"Current [{_text(now)}]",
        )


def an_hour_from(now: datetime) -> str:
    """Return the expiry of a SAS that is made for one request."""
    return (now.astimezone(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(when: datetime | None) -> str:
    return format_datetime(when.astimezone(UTC), usegmt=True) if when is not None else ""


def _identifier(element: ET.Element) -> SignedIdentifier:
    _require(element, "SignedIdentifier", children=("Id", "AccessPolicy"))
    name = element.find("Id")
    if name is None:
        raise Refusal("InvalidXmlDocument")
    policy = element.find("AccessPolicy")
    return SignedIdentifier(_content(name), None if policy is None else _policy(policy))


def _policy(element: ET.Element) -> AccessPolicy:
    _require(element, "AccessPolicy", children=tuple(_FIELDS))
    return AccessPolicy(**{_FIELDS[child.tag]: _content(child) for child in element})


def _require(element: ET.Element, tag: str, *, children: tuple[str, ...]) -> None:
    """Return if `element` is a `tag` with only these children, each at most once, and no text beside them."""
    found = [child.tag for child in element]
    beside = (element.text, *(child.tail for child in element))
    if (
        element.tag != tag
        or len(set(found)) < len(found)
        or not set(found) <= set(children)
        or any((text or "").strip() for text in beside)
    ):
        raise Refusal("InvalidXmlDocument")


def _content(element: ET.Element) -> str:
    if len(element):
        raise Refusal("InvalidXmlDocument")
    return element.text or ""


def _policy_xml(policy: AccessPolicy | None) -> str:
    if policy is None:
        return ""
    texts = {tag: getattr(policy, field) for tag, field in _FIELDS.items()}
    inner = "".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in texts.items() if text is not None)
    return f"<AccessPolicy>{inner}</AccessPolicy>"
