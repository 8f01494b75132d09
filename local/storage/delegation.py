"""User delegation keys: issues them, and finds the key that signed a token.

Sources: "Get User Delegation Key", "Create a user delegation SAS" (learn.microsoft.com/rest/api/storageservices) and
the strings-to-sign of the SDKs, which agree with it; for queues, tables and files (preview) they are the only source.
A user delegation SAS that is bound to a user, headers or parameters (`sduoid`, `srh`, `srq`) is always refused.
"""

import base64
import hashlib
import hmac
import os
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape

from local.storage.errors import Refusal
from local.tenant.model import TENANT_ID, Account, DelegationKey, Identity, now
from shared.sas import Credential
from shared.sas.classify import moment
from shared.sas.kinds import SNAPSHOT_TIME

_LONGEST_LIFE = timedelta(days=7)
_LARGEST_DOCUMENT = 4096
SERVICE_LETTERS = {"blob": "b", "queue": "q", "table": "t", "file": "f"}

_KEY = ("skoid", "sktid", "skt", "ske", "sks", "skv")
_HEADERS = ("rscc", "rscd", "rsce", "rscl", "rsct")
_PLACE = ("sip", "spr", "sv")
_BOUND_KEY = (*_KEY, "skdutid", "sduoid", *_PLACE)
_AGENT = ("saoid", "suoid", "scid")
_BOUND = ("skdutid", "sduoid")
_GRANT = ("sp", "st", "se", "@resource")
# Fields of the string-to-sign, by the first version that has them; "@…" is computed.
_LAYOUTS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "blob": (
        ("2018-11-09", (*_GRANT, *_KEY, *_PLACE, "sr", "@time", *_HEADERS)),
        ("2020-02-10", (*_GRANT, *_KEY, *_AGENT, *_PLACE, "sr", "@time", *_HEADERS)),
        ("2020-12-06", (*_GRANT, *_KEY, *_AGENT, *_PLACE, "sr", "@time", "ses", *_HEADERS)),
        ("2025-07-05", (*_GRANT, *_KEY, *_AGENT, *_BOUND, *_PLACE, "sr", "@time", "ses", *_HEADERS)),
        ("2026-04-06", (*_GRANT, *_KEY, *_AGENT, *_BOUND, *_PLACE, "sr", "@time", "ses", "", "", *_HEADERS)),
    ),
    "queue": (("2025-07-05", (*_GRANT, *_BOUND_KEY)),),
    "file": (("2025-07-05", (*_GRANT, *_BOUND_KEY, *_HEADERS)),),
    "table": (("2025-07-05", (*_GRANT, *_BOUND_KEY, "spk", "srk", "epk", "erk")),),
}


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


def signed_by(account: Account, credential: Credential, signature: str, *, service: str) -> DelegationKey | None:
    """Return the unrevoked key that made `signature`; None if there is none."""
    text = _string_to_sign(credential, account.name, service)
    if text is None:
        return None
    revoked = account.delegation_keys_revoked_at
    for key in account.delegation_keys:
        wanted = (key.object_id, key.tenant_id, key.start, key.expiry, key.service, key.version)
        if wanted != tuple(credential.parameter(name) for name in _KEY):
            continue
        digest = hmac.digest(base64.b64decode(key.value), text.encode(), hashlib.sha256)
        is_good = hmac.compare_digest(base64.b64encode(digest), signature.encode())
        if is_good and (revoked is None or key.issued_at > revoked):
            return key
    return None


def _string_to_sign(credential: Credential, account: str, service: str) -> str | None:
    """Return the string-to-sign; None if the URL is incomplete, or the version has no such tokens."""
    version = credential.version or ""
    layout = next((fields for since, fields in reversed(_LAYOUTS[service]) if since <= version), None)
    if layout is None or credential.container is None:
        return None
    resource = "/".join(filter(None, (service, account, credential.container, credential.resource_path)))
    values = dict(credential.parameters)
    time = values.get(SNAPSHOT_TIME.get(values.get("sr", ""), ""), "")
    values |= {"@resource": f"/{resource}", "@time": time}
    return "\n".join(values.get(field, "") for field in layout)


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
