"""Watches what Sasquash does, from outside: the control port, the record in the table, and the attacker's luck."""

import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import msgspec
from azure.data.tables import TableServiceClient
from azure.identity import ManagedIdentityCredential

from local.tenant.model import STATE_ACCOUNT
from shared.domain.revocation import Revocation

_PATIENCE = 90.0  # seconds
_PAUSE = 0.05


class DemoError(Exception):
    """A step of the story did not happen. The message says which."""


@dataclass(frozen=True)
class Control:
    """The local cloud's control port."""

    address: str

    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.address}/state", timeout=10) as answer:
            state: dict[str, Any] = json.load(answer)
            return state

    def make_account(self, name: str, *, owner: str) -> dict[str, Any]:
        body = {"name": name, "resource_group": "ai-research", "tags": {"sasquash-owner": owner}, "logged": ["blob"]}
        request = urllib.request.Request(
            f"{self.address}/accounts",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            account: dict[str, Any] = json.load(answer)
            return account


def until[T](look: Callable[[], T | None], what: str) -> tuple[T, datetime]:
    """Look until there is something to see; return it and when it was seen. Raises DemoError after 90 s."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        seen = look()
        if seen is not None:
            return seen, datetime.now(UTC)
        time.sleep(_PAUSE)  # other processes decide when
    raise DemoError(f"{what}: not within {_PATIENCE:.0f} s")


def record() -> Revocation | None:
    """The one revocation in Sasquash's table, read as the developer at the keyboard."""
    endpoint = f"https://{STATE_ACCOUNT}.table.core.windows.net"
    with TableServiceClient(endpoint, credential=ManagedIdentityCredential()) as service:
        table = service.get_table_client("revocations")
        rows = [row for row in table.list_entities(select=["Record"]) if "Record" in row]
    return msgspec.json.decode(rows[0]["Record"], type=Revocation) if rows else None


def plain_text(html: str) -> str:
    """An HTML mail as a terminal shows it."""
    reader = _Reader()
    reader.feed(html)
    lines = (" ".join(line.split()) for line in "".join(reader.parts).splitlines())
    return "\n".join(line for line in lines if line)


class _Reader(HTMLParser):
    _IMPACT = frozenset({"p", "tr", "li", "h1", "h2", "h3", "br", "div"})

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in ("style", "head"):
            self._silent += 1
        if tag in self._IMPACT:
            self.parts.append("\n- " if tag == "li" else "\n")
        if tag == "td":
            self.parts.append("  ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "head"):
            self._silent -= 1

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)
