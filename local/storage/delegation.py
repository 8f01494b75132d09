"""Issues user delegation keys ("Get User Delegation Key", learn.microsoft.com/rest/api/storageservices)."""

import base64
import os
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape

from local.storage.errors import Refusal
from local.storage.sas.token import SERVICE_LETTERS
from local.storage.times import moment
from local.tenant.model import TENANT_ID, Account, DelegationKey, Identity, now

_LONGEST_LIFE = timedelta(days=7)
_LARGEST_DOCUMENT = 4096


def issue(account: Account, identity: Identity, document: bytes, *, service: str, version: str) -> DelegationKey:
    """Issue a key for the body of a Get User Delegation Key request. Raises Refusal (400).

    `version` is the x-ms-version of the request.
    """
    start, expiry = _period(document)
    current = now()
    starts, ends = moment(start), moment(expiry)
    if starts is None or ends is None or not max(starts, current) < ends <= max(starts, current) + _LONGEST_LIFE:
        raise Refusal("InvalidXmlNodeValue")
    key = DelegationKey(
        object_id=identity.object_id,
        tenant_id=TENANT_ID,
        start=_seconds(starts),
        expiry=_seconds(ends),
        service=SERVICE_LETTERS[service],
        version=version,
        value=base64.b64encode(os.urandom(32)).decode(),
        issued_at=current,
    )
    account.delegation_keys.append(key)
    return key


def render(key: DelegationKey) -> bytes:
    """Return the response body of Get User Delegation Key."""
    members = {
        "SignedOid": key.object_id,
        "SignedTid": key.tenant_id,
        "SignedStart": key.start,
        "SignedExpiry": key.expiry,
        "SignedService": key.service,
        "SignedVersion": key.version,
        "Value": key.value,
    }
    inner = "".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in members.items())
    document = f'<?xml version="1.0" encoding="utf-8"?><UserDelegationKey>{inner}</UserDelegationKey>'
    return b"\xef\xbb\xbf" + document.encode()


def _period(document: bytes) -> tuple[str, str]:
    """Return start (default: now) and expiry of a KeyInfo document. Raises Refusal."""
    if len(document) > _LARGEST_DOCUMENT or b"<!DOCTYPE" in document:
        raise Refusal("InvalidXmlDocument")
    try:
        root = ET.fromstring(document)
    except (ET.ParseError, LookupError, ValueError):  # the last two: unknown encoding
        raise Refusal("InvalidXmlDocument") from None
    names = [child.tag for child in root]
    if root.tag != "KeyInfo" or not set(names) <= {"Start", "Expiry"} or len(set(names)) < len(names):
        raise Refusal("InvalidXmlDocument")
    return root.findtext("Start") or _seconds(now()), root.findtext("Expiry") or ""


def _seconds(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
