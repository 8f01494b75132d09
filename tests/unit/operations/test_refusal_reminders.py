"""The daily reminders take a bounded time, and say where that was too short."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from shared.domain.message import Message
from shared.domain.revocation import Revocation
from shared.operations import refusal_reminders
from shared.operations.refusal_reminders import RefusalReminders
from shared.persistence.reminders import Held, Reminders
from tests.support import samples
from tests.support.refused import refused
from tests.support.samples import NOW


def reminders(*records: Revocation, sent: list[Message], endless: bool = False) -> RefusalReminders:
    """The pass over these records; with `endless`, there are always more."""

    async def in_state(*_: object, **__: object) -> AsyncIterator[Revocation]:
        for record in records:
            yield record
        if endless:
            await asyncio.Event().wait()

    async def send_mail(_: str, message: Message, **__: object) -> None:
        sent.append(message)

    rows = AsyncMock(spec=Reminders)
    rows.mailed.return_value = dict[str, datetime]()
    rows.begin.side_effect = lambda reminder: Held(reminder, None, "etag")
    store: Any = SimpleNamespace(revocations=SimpleNamespace(in_state=in_state), clock=lambda: NOW)
    graph: Any = SimpleNamespace(send_mail=send_mail)
    return RefusalReminders(
        store=store, reminders=rows, graph=lambda: graph, warm_up=lambda: None, settings=samples.settings()
    )


async def test_count_is_a_lower_bound_where_the_time_was_too_short(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(refusal_reminders, "_READING", 0)
    sent: list[Message] = []

    await reminders(refused(1), refused(2), sent=sent, endless=True).run()

    assert ["At least 2 leaks" in message.subject for message in sent] == [True]
    assert "not all refused records were read" in caplog.text


async def test_mails_without_time_are_left_to_the_next_day(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(refusal_reminders, "_SENDING", -1)
    sent: list[Message] = []

    await reminders(refused(1), refused(2, cause="a policy"), sent=sent).run()

    assert (sent, "no time is left for 2 of 2" in caplog.text) == ([], True)
