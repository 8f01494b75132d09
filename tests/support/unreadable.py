"""Rows that can't be read, in tables in memory with everything that reads them."""

import json
from datetime import datetime
from itertools import count
from typing import Any

import pytest

from shared.domain.revocation import Revocation
from shared.domain.target import ActionKind
from shared.persistence.account_rows import Attributed
from shared.persistence.accounts import AccountTable
from shared.persistence.history_rows import HistoryRows
from shared.persistence.hourly_groups import HourlyGroups
from shared.persistence.outages import Outages
from shared.persistence.outbox import Outbox
from shared.persistence.pruning import Pruning
from shared.persistence.readiness import ReadinessTable
from shared.persistence.reminders import Reminders
from shared.persistence.revocations import Ledger
from shared.persistence.rows import SCHEMA
from shared.persistence.secret_index import SecretIndex
from shared.persistence.state_index import StateIndex
from shared.persistence.summary_lines import SummaryLines
from shared.persistence.unreadable_rows import UnreadableRows
from tests.support import samples
from tests.support.memory_tables import Stored
from tests.support.samples import ACCOUNT, NOW

SECRET = "sig=UNhY4JhezH9gQYqvDMWrWH9CwlcKiECVqejMrND2VFw%3D"
BROKEN = {  # how a row may be unreadable: by its text, a value of a newer version, or its number
    "no JSON": lambda text: "{" + SECRET,
    "an unknown value": lambda text: text.replace("received", "quarantined").replace("account_key", "new_action"),
    "another type": lambda text: json.dumps([SECRET]),
}
ways = pytest.mark.parametrize("way", [*BROKEN, "a newer format"])


class Place:
    """The tables in memory, with everything that reads them."""

    def __init__(self) -> None:
        self.stored = Stored()
        self.now = NOW
        numbers = count(1)
        table = self.stored.client.get_table_client
        self.unreadable = UnreadableRows(table, clock=self.clock)
        note = self.unreadable.note
        self.index = StateIndex(table("states"), clock=self.clock, set_aside=note)
        self.outbox = Outbox(table("outbox"), clock=self.clock, set_aside=note)
        self.ledger = Ledger(
            table("revocations"),
            self.index,
            clock=self.clock,
            new_id=lambda: f"{next(numbers):036}",
            set_aside=note,
        )
        self.accounts = AccountTable(
            table("accounts"), clock=self.clock, new_id=lambda: f"id{next(numbers)}", set_aside=note
        )
        self.history = HistoryRows(table("revocations"), set_aside=note)
        self.readiness = ReadinessTable(table("readiness"), set_aside=note)
        self.groups = HourlyGroups(
            table("digest"), clock=self.clock, new_id=lambda: f"id{next(numbers)}", set_aside=note
        )
        self.lines = SummaryLines(
            table("digest"), clock=self.clock, new_id=lambda: f"id{next(numbers)}", set_aside=note
        )
        self.reminders = Reminders(
            table("digest"), clock=self.clock, new_id=lambda: f"id{next(numbers)}", set_aside=note
        )
        self.outages = Outages(table("digest"), clock=self.clock, set_aside=note)
        self.pruning = Pruning(
            table("revocations"),
            index=self.index,
            secrets=SecretIndex(table("states")),
            accounts=self.accounts,
            outbox=self.outbox,
        )

    def clock(self) -> datetime:
        return self.now

    def spoil(self, table: str, partition: str, key: str, column: str, way: str) -> dict[str, Any]:
        """Make a row unreadable; return it."""
        row = self.stored.row(table, partition, key)
        if way in BROKEN:
            self.stored.change(table, partition, key, **{column: BROKEN[way](row[column])})
        else:
            self.stored.change(table, partition, key, Schema=SCHEMA + 1)
        return self.stored.row(table, partition, key)

    async def noted(self) -> set[tuple[str, str]]:
        return {(row.table, row.key) for row in await self.unreadable.all()}

    async def record(self, seed: str = "key2") -> Revocation:
        record, _ = await self.ledger.claim(samples.finding(samples.account_sas(key_name=seed)))
        return record

    def spoil_record(self, record: Revocation, way: str) -> dict[str, Any]:
        return self.spoil("revocations", record.fingerprint[:2], record.fingerprint, "Record", way)

    async def spoiled_lock(self, way: str) -> dict[str, Any]:
        """Have the account locked by a holder that has attributed a leak, and its row unreadable; return that."""
        lock = await self.accounts.acquire(ACCOUNT, fingerprint="ab" * 32)
        await self.accounts.attribute(lock, [Attributed("ab" * 32, ActionKind.ACCOUNT_KEY, "key1", "v")])
        return self.spoil("accounts", ACCOUNT, "lock", "Intent", way)
