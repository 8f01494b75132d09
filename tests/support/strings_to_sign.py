"""Tokens made by hand from strings-to-sign that the tests spell out: independent of the code under test."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from shared.sas import Credential, extract

ACCOUNT = "robustmodels"
KEYS = {
    "key1": base64.b64encode(bytes(range(64))).decode(),
    "key2": base64.b64encode(bytes(range(64, 128))).decode(),
}
OTHER_KEYS = {"key1": base64.b64encode(bytes(range(100, 164))).decode()}
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOST = f"{ACCOUNT}.blob.core.windows.net"


def signature(text: str, key: str = KEYS["key2"]) -> str:
    return base64.b64encode(hmac.digest(base64.b64decode(key), text.encode(), hashlib.sha256)).decode()


def query(parameters: Mapping[str, str], sig: str) -> str:
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in {**parameters, "sig": sig}.items())


def only(text: str) -> Credential:
    (credential,) = extract(text)
    return credential


CONTAINER_SAS = {"sv": "2022-11-02", "se": "2030-01-01T00:00:00Z", "sp": "r", "sr": "c"}


def container_url(**changes: str) -> str:
    """A valid container SAS of key2 on `robustmodels/models`, after which `changes` are made to its parameters."""
    text = f"r\n\n2030-01-01T00:00:00Z\n/blob/{ACCOUNT}/models\n\n\n\n2022-11-02\nc\n\n\n\n\n\n\n"
    return f"https://{HOST}/models?{query(CONTAINER_SAS | changes, signature(text))}"
