"""Lines of the storage logs about access policies.

Sources: Azure Monitor Logs reference, "StorageBlobLogs" (CallerIpAddress: "including the port number"; Requester… of
OAuth); MicrosoftDocs/azure-docs, azure-storage-logs-properties-authentication.md: "key1 | key2 (SHA256 hash of the
key)" for the account's key, the hash of the token alone for OAuth.
"""

from typing import Any

import pytest

from shared.cloud.policy_log import PolicyWrite, _write
from tests.support.samples import NOW

HASH = "5E" * 32


def written(**row: Any) -> PolicyWrite:
    made = _write({"TimeGenerated": NOW} | row)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("logged", "key"),
    [(f"key1({HASH})", "key1"), (f"KEY2({HASH})", "key2"), (HASH, ""), ("", ""), (f"system-1({HASH})", "")],
)
def test_key_is_named_where_one_signed(logged: str, key: str) -> None:
    assert written(AuthenticationHash=logged).key_name == key


@pytest.mark.parametrize(
    ("logged", "address"),
    [
        ("203.0.113.7:50123", "203.0.113.7"),
        ("203.0.113.7", "203.0.113.7"),
        ("[2001:db8::1]:50123", "[2001:db8::1]"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_address_is_without_its_port(logged: str, address: str) -> None:
    assert written(CallerIpAddress=logged).address == address


def test_requester_is_the_principal_name_or_the_object_id() -> None:
    both = {"RequesterUpn": "rob@contoso.com", "RequesterObjectId": "id", "RequesterAppId": "app"}

    assert (written(**both).requester, written(**both).application) == ("rob@contoso.com", "app")
    assert written(**both | {"RequesterUpn": None}).requester == "id"


def test_client_s_texts_are_harmless() -> None:
    assert written(ClientRequestId="https://evil.example\n`x`").request_id == "hxxps://evil.example 'x'"


def test_line_without_a_time_is_left_out() -> None:
    assert _write({"TimeGenerated": "soon"}) is None
