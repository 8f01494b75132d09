"""Rows of the query of the SAS in use, as Azure Monitor answers it, and tokens of Microsoft's clients in them.

Columns: Azure Monitor Logs reference, "StorageBlobLogs". The API sends a dynamic value as JSON text.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from azure.storage.blob import generate_account_sas, generate_container_sas

from shared.domain.account import AccountKey
from shared.domain.logged_sas import LoggedSas, LoggedTokens
from shared.sas import signature_sha256
from shared.watch.service import Found
from tests.support.samples import ACCOUNT, NOW, key

KEYS = {"key1": key("one"), "key2": key("two")}
FOR_EVER = datetime(2051, 10, 6, tzinfo=UTC)
END = "2051-10-06"


def account_token(account: str = ACCOUNT, *, signed_by: str = "key1", expiry: datetime = FOR_EVER) -> str:
    """The query of an account SAS that may do everything until 2051."""
    return generate_account_sas(account, KEYS[signed_by], resource_types="sco", permission="rwdl", expiry=expiry)


def container_token(account: str = ACCOUNT, *, signed_by: str = "key2", days: float = 2, **options: Any) -> str:
    """The query of a SAS that reads a container."""
    limits = options or {"permission": "r", "expiry": NOW + timedelta(days=days)}
    return generate_container_sas(account, "models", account_key=KEYS[signed_by], **limits)


def masked(url: str) -> str:
    """The URL as the logs have it: with its port, and without its signature."""
    address, _, query = url.partition("?")
    host, _, path = address.removeprefix("https://").partition("/")
    kept = "&".join("sig=XXXXX" if pair.startswith("sig=") else pair for pair in query.split("&"))
    return f"https://{host}:443/{path}?{kept}"


def digest_of(token: str) -> str:
    return signature_sha256(parse_qs(token)["sig"][0])


def logged(token: str, *, account: str = ACCOUNT, path: str = "models/a.ckpt", **changed: Any) -> LoggedSas:
    """A token of an account's blob service that was used ten times."""
    values: dict[str, Any] = {
        "account": account,
        "resource_id": None,
        "signature_sha256": digest_of(token),
        "key_name": "key1",
        "urls": (masked(f"https://{account}.blob.core.windows.net/{path}?{token}"),),
        "first": NOW - timedelta(days=9),
        "last": NOW - timedelta(hours=1),
        "requests": 10,
        "accepted": 10,
        "addresses": ("203.0.113.7",),
        "agents": ("curl/8.5",),
        "operations": ("GetBlob",),
    }
    return LoggedSas(**values | changed)


def row(token: str, *, account: str = ACCOUNT, **changed: Any) -> dict[str, Any]:
    """A row of the result."""
    url = masked(f"https://{account}.blob.core.windows.net/models/a.ckpt?{token}")
    values: dict[str, Any] = {
        "AuthenticationHash": f"key1({'AB' * 32}),SasSignature({digest_of(token).upper()})",
        "AccountName": account,
        "First": NOW - timedelta(days=9),
        "Last": NOW - timedelta(hours=1),
        "Requests": 10,
        "Accepted": 8,
        "AcceptedUrls": json.dumps([url]),
        "RefusedUrl": "",
        "ResourceId": f"/subscriptions/3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33/resourcegroups/research"
        f"/providers/microsoft.storage/storageaccounts/{account}",
        "Addresses": json.dumps(["203.0.113.7", "[2001:db8::7]"]),
        "Agents": json.dumps(["curl/8.5"]),
        "Operations": json.dumps(["GetBlob", "ListBlobs"]),
    }
    return values | changed


@dataclass
class MemoryLogs:
    """Logs with some tokens, and accounts that all have the same keys."""

    tokens_: list[LoggedSas]
    unread: dict[str, str] = field(default_factory=dict)
    fails: dict[str, Exception] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    hangs: bool = False

    async def tokens(self, *, account: str | None, days: int) -> Found:
        chosen = tuple(token for token in self.tokens_ if account in (None, token.account))
        return Found((LoggedTokens(chosen, unidentified=4),), self.unread)

    async def keys(self, account: str) -> Mapping[str, AccountKey]:
        self.listed.append(account)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await (asyncio.Event().wait() if self.hangs else asyncio.sleep(0))
        self.at_once -= 1
        if account in self.fails:
            raise self.fails[account]
        return {name: AccountKey(value, None) for name, value in KEYS.items()}
