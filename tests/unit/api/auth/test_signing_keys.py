import asyncio
from datetime import timedelta

import pytest
from azure.core.exceptions import ServiceRequestError

from shared.api.auth import signing_keys as module
from shared.errors import TransientFailure
from tests.support.entra import KEYS_URL, Clock, KeyServer, published, signing_keys

MINUTE = timedelta(minutes=1)


async def test_key_is_fetched_from_entra_id() -> None:
    server = KeyServer()

    assert await signing_keys(server, Clock()).find("first") is not None
    assert server.urls == [KEYS_URL]


async def test_nothing_is_fetched_before_first_use() -> None:
    server = KeyServer()
    signing_keys(server, Clock())

    assert server.urls == []


async def test_known_key_is_fetched_once() -> None:
    server = KeyServer(published("first", "second"))
    keys = signing_keys(server, Clock())

    assert [await keys.find(name) is not None for name in ("first", "second", "first")] == [True, True, True]
    assert len(server.urls) == 1


async def test_concurrent_callers_share_one_fetch() -> None:
    server = KeyServer()
    server.opened = asyncio.Event()
    keys = signing_keys(server, Clock())
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(keys.find("first")) for _ in range(5)]
        await server.asked.wait()
        server.opened.set()

    assert all(task.result() is not None for task in tasks)
    assert len(server.urls) == 1


async def test_new_key_is_fetched_after_the_pause() -> None:
    server, clock = KeyServer(), Clock()
    keys = signing_keys(server, clock)
    await keys.find("first")
    server.body = published("first", "second")
    clock.advance(MINUTE)

    assert await keys.find("second") is not None


async def test_invented_key_ids_cause_one_fetch_a_minute() -> None:
    server, clock = KeyServer(), Clock()
    keys = signing_keys(server, clock)

    for _ in range(3):
        assert [await keys.find(f"made up {number}") for number in range(5)] == [None] * 5
        clock.advance(MINUTE)

    assert len(server.urls) == 3


async def test_withdrawn_key_is_not_trusted_after_a_day() -> None:
    server, clock = KeyServer(), Clock()
    keys = signing_keys(server, clock)
    assert await keys.find("first") is not None
    server.body = published("second")
    clock.advance(timedelta(hours=24))

    assert await keys.find("first") is None


async def test_cached_keys_are_used_while_fetching_fails() -> None:
    server, clock = KeyServer(), Clock()
    keys = signing_keys(server, clock)
    await keys.find("first")
    server.fails = ServiceRequestError("no way")
    clock.advance(timedelta(hours=25))

    assert await keys.find("first") is not None
    assert len(server.urls) == 2


async def test_unknown_key_is_a_transient_failure_while_fetching_fails() -> None:
    server, clock = KeyServer(), Clock()
    keys = signing_keys(server, clock)
    await keys.find("first")
    server.fails = ServiceRequestError("no way")
    clock.advance(MINUTE)

    with pytest.raises(TransientFailure) as failure:
        await keys.find("second")
    assert failure.value.retry_after == 5.0


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, b""),
        (404, published("first")),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"keys": 1}'),
        (200, b'{"keys": []}'),
        (200, b'{"keys": [{"kty": "RSA", "kid": "first"}]}'),
        (200, b'{"keys": [{"kty": "oct", "kid": "first", "k": "c2VjcmV0"}]}'),
        (200, published("first").replace(b'"sig"', b'"enc"')),
        (200, published("first").replace(b'"kid": "first"', b'"kid": 1')),
    ],
)
async def test_response_without_a_usable_key_is_a_transient_failure(status: int, body: bytes) -> None:
    server, clock = KeyServer(body), Clock()
    server.status = status
    keys = signing_keys(server, clock)
    with pytest.raises(TransientFailure):
        await keys.find("first")

    server.body, server.status = published("first"), 200
    clock.advance(timedelta(seconds=5))
    assert await keys.find("first") is not None


async def test_unresponsive_server_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", 0.01)
    server = KeyServer()
    server.opened = asyncio.Event()

    with pytest.raises(TransientFailure):
        await signing_keys(server, Clock()).find("first")
