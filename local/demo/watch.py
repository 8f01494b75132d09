"""Observes Sasquash from outside: the control port, the record in the table, and the mail as text."""

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

_TIMEOUT = 90.0  # seconds
_PAUSE = 0.05


class DemoError(Exception):
    """A step of the scenario did not happen. The message names it."""


@dataclass(frozen=True)
class ControlPort:
    """A client of the local cloud's control port."""

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


def wait_for[T](check: Callable[[], T | None], what: str) -> tuple[T, datetime]:
    """Call `check` until it returns a value; return that and the time. Raises DemoError after 90 s, naming `what`."""
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        found = check()
        if found is not None:
            return found, datetime.now(UTC)
        time.sleep(_PAUSE)  # other processes make it happen
    raise DemoError(f"{what} did not appear within {_TIMEOUT:.0f} s")


def record() -> Revocation | None:
    """Return the only revocation in Sasquash's table, read as the developer; None if there is none yet."""
    endpoint = f"https://{STATE_ACCOUNT}.table.core.windows.net"
    with TableServiceClient(endpoint, credential=ManagedIdentityCredential()) as service:
        table = service.get_table_client("revocations")
        rows = [row for row in table.list_entities(select=["Record"]) if "Record" in row]
    return msgspec.json.decode(rows[0]["Record"], type=Revocation) if rows else None


def plain_text(html: str) -> str:
    """Return an HTML mail as text for a terminal."""
    reader = _Reader()
    reader.feed(html)
    lines = (" ".join(line.split()) for line in "".join(reader.parts).splitlines())
    return "\n".join(line for line in lines if line)


class _Reader(HTMLParser):
    _BLOCKS = frozenset({"p", "tr", "li", "h1", "h2", "h3", "br", "div"})

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in ("style", "head"):
            self._silent += 1
        if tag in self._BLOCKS:
            self.parts.append("\n- " if tag == "li" else "\n")
        if tag == "td":
            self.parts.append("  ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "head"):
            self._silent -= 1

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)
