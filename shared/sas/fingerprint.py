"""Identities of a leak without its secret: hashes of a signature or a key, and ids derived from them."""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from urllib.parse import quote


def signature_sha256(signature: str) -> str:
    """Return the lower-case hex SHA-256 of the percent-decoded signature text (the base64 string, not its bytes).

    That recipe is the one of the storage logs: Microsoft Learn, "Best practices for monitoring Azure Blob Storage".
    """
    return hashlib.sha256(signature.encode()).hexdigest()


def key_sha256(key: str) -> str:
    """Return the lower-case hex SHA-256 of the bytes of the base64 account key `key`.

    Raises ValueError when `key` is not base64; the message does not repeat it.
    """
    return hashlib.sha256(key_bytes(key)).hexdigest()


def key_bytes(key: str) -> bytes:
    """Return the bytes of a base64 account key. Raises ValueError, whose message does not repeat the key."""
    try:
        return base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("An account key is base64 text.") from None


def fingerprint(*, kind: str, host: str | None, parameters: Iterable[tuple[str, str]], digest: str) -> str:
    """Return the identity of a leak: SHA-256 hex of kind, host, sorted parameters, and the secret's hash."""
    canonical = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in sorted(parameters))
    return hashlib.sha256("|".join((kind, host or "", canonical, digest)).encode()).hexdigest()


def _quoted(text: str) -> str:
    """Return `text` percent-encoded. Most names and values are letters and digits, and take the short way."""
    return text if text.isalnum() and text.isascii() else quote(text, safe="")


def c3id(digest: str) -> str:
    """Return the cross-company correlating id (20 characters) of a secret whose hex SHA-256 is `digest`.

    Source: microsoft/security-utilities, `RegexPattern.GenerateCrossCompanyCorrelatingId`.
    """
    correlating = hashlib.sha256(f"CrossMicrosoftCorrelatingId:{digest.upper()}".encode()).digest()
    return base64.b64encode(correlating[:15]).decode()
