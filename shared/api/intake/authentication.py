"""Authentication of the sources of reports. Every comparison takes constant time.

GitHub signs the body ("Validating webhook deliveries"). Azure DevOps sends a password ("Webhooks", basic
authentication), which does not protect the body. All others sign by Standard Webhooks 1.0.0 (standardwebhooks.com),
which also prevents replay.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

from shared.api.problems import NotSigned

_TOLERANCE = timedelta(minutes=5)  # between the sender's clock and ours, including the time of delivery
_LONGEST_ID = 200

type Headers = Mapping[str, str]
"""Header fields with case-insensitive names."""


def check_github(headers: Headers, body: bytes, *, secret: str) -> None:
    """Return if GitHub signed `body`. Raises NotSigned."""
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(_given(headers, "x-hub-signature-256").encode(), expected.encode()):
        raise NotSigned(
            "The header X-Hub-Signature-256 is missing, or does not match this body and the webhook's secret."
        )


def check_password(headers: Headers, *, password: str) -> None:
    """Return if the request has the service hook's password, with any user name. Raises NotSigned."""
    scheme, _, encoded = _given(headers, "authorization").partition(" ")
    try:
        pair = base64.b64decode(encoded.strip(), validate=True) if scheme.lower() == "basic" else b""
    except binascii.Error:
        pair = b""
    if not hmac.compare_digest(pair.partition(b":")[2], password.encode()):
        raise NotSigned("The header Authorization is missing, or does not have the password of the service hook.")


def check_webhook(headers: Headers, body: bytes, *, key: bytes, now: datetime) -> None:
    """Return if `body` was signed with `key` within the tolerance. Raises NotSigned."""
    name, time = _given(headers, "webhook-id"), _given(headers, "webhook-timestamp")
    if not 0 < len(name) <= _LONGEST_ID or not time.isascii() or not time.isdigit() or len(time) > 12:
        raise NotSigned("The headers webhook-id, webhook-timestamp and webhook-signature are required.")
    if abs(now.timestamp() - int(time)) > _TOLERANCE.total_seconds():
        raise NotSigned(
            "The header webhook-timestamp differs from the time by more than five minutes: check the sender's clock."
        )
    signed = hmac.new(key, b".".join((name.encode(), time.encode(), body)), hashlib.sha256).digest()
    expected = b"v1," + base64.b64encode(signed)
    given = _given(headers, "webhook-signature").encode().split()
    # All are compared: the time must not depend on which signature matches.
    if not any([hmac.compare_digest(one, expected) for one in given[:10]]):  # noqa: C419
        raise NotSigned(
            "The header webhook-signature is missing, or does not match this body and the sender's secret."
        )


def _given(headers: Headers, name: str) -> str:
    return headers.get(name) or ""
