"""The functions of poison queues do not fail: what can't be done now is put back.

Source: Azure/azure-sdk-for-net, QueueProcessor and QueueListenerFactory.CreatePoisonQueueReference: a message on
which they failed five times is passed to no function again.
"""

import base64
import json
import logging
from unittest.mock import AsyncMock, MagicMock

import msgspec
import pytest

from shared import redaction
from shared.domain.report import REPORTED, Report
from shared.errors import Blocked, SasquashError, TransientFailure
from shared.operations.poison_messages import PoisonMessages
from shared.persistence.queues import Message
from tests.support import samples

STORED = msgspec.json.encode(Message("ab" * 32))


def failing(error: Exception) -> tuple[PoisonMessages, AsyncMock]:
    """Return the service with records that can't be read, and its poison queues."""
    store, poison = MagicMock(), AsyncMock()
    store.revocations.read = AsyncMock(side_effect=error)
    ingest = MagicMock(receive=AsyncMock(side_effect=error))
    return PoisonMessages(
        store, ingest=ingest, poison=poison, records=AsyncMock(), kept=MagicMock(), settle=AsyncMock()
    ), poison


@pytest.mark.parametrize("error", [TransientFailure("No table."), Blocked("No right."), ValueError("sig=secret")])
async def test_message_that_can_t_be_processed_is_put_back(error: Exception) -> None:
    messages, poison = failing(error)

    await messages.failed("contain", STORED)

    poison.put_back.assert_awaited_once_with("contain", STORED)


async def test_unexpected_error_is_logged_with_its_place_and_without_secrets(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages, _ = failing(ValueError(samples.account_sas()))
    monkeypatch.setattr(logging, "_logRecordFactory", logging.getLogRecordFactory())  # undone after the test
    redaction.install()

    with caplog.at_level(logging.WARNING):
        await messages.failed("contain", STORED)

    assert "A message in queue contain-poison is tried again later: unexpected error" in caplog.text
    assert "poison_messages.py" in caplog.text
    assert samples.account_sas().partition("sig=")[2] not in caplog.text


async def test_failure_to_put_a_message_back_is_the_host_s() -> None:
    messages, poison = failing(TransientFailure("No table."))
    poison.put_back.side_effect = TransientFailure("No queue.")

    with pytest.raises(SasquashError, match="No queue"):
        await messages.failed("contain", STORED)


async def test_recorded_message_is_not_put_back() -> None:
    store, poison = MagicMock(), AsyncMock()
    store.revocations.read = AsyncMock(return_value=None)

    messages = PoisonMessages(
        store, ingest=MagicMock(), poison=poison, records=AsyncMock(), kept=MagicMock(), settle=AsyncMock()
    )
    await messages.failed("contain", STORED)

    poison.put_back.assert_not_awaited()


EVENT = json.dumps({"specversion": "1.0", "id": "e1", "source": "/s", "type": REPORTED, "data": {}}).encode()


@pytest.mark.parametrize("stored", [EVENT, base64.b64encode(EVENT)], ids=["JSON", "base64"])
async def test_finding_in_the_poison_queue_is_taken_in(stored: bytes) -> None:
    ingest = AsyncMock()
    messages = PoisonMessages(
        MagicMock(), ingest=ingest, poison=AsyncMock(), records=AsyncMock(), kept=MagicMock(), settle=AsyncMock()
    )

    await messages.finding(stored)

    ingest.receive.assert_awaited_once_with(Report("e1", REPORTED, "/s", {}))


@pytest.mark.parametrize("error", [TransientFailure("No table."), ValueError("sig=secret")])
async def test_finding_that_can_t_be_recorded_now_is_put_back(error: Exception) -> None:
    messages, poison = failing(error)

    await messages.finding(EVENT)

    poison.put_back.assert_awaited_once_with("findings", EVENT)
