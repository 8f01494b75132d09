"""What four hostile reports cost the app that parses them: its memory, and a revocation at the same time.

One app does both here, the intake and the revocations; a separate intake delays no revocation. Each report is 4 MiB,
and is posted again a second after it is answered. The senders are authenticated, and over their quota: what a report
costs is its parsing, and nothing of it is published.
"""

import asyncio
import base64
import hashlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx

from bench.figures import Figure, median
from bench.memory import peak_mb
from bench.warm import Latencies, restart_and_warm_up, revoke
from local.cloud.cloud import LocalCloud, running
from local.reporters import reports
from tests.support.deployment import Deployment
from tests.support.intake import generic

_SOURCE = "wiz"
_SETTINGS = {"SASQUASH_INTAKE_QUOTA": "1"}
_LONGEST = 4 * 1024 * 1024 - 1000
_TIMEOUT = 300.0
_PAUSE = 1.0
_MOST_MB, _MOST_RATIO = 1000, 2


def bodies(length: int = _LONGEST) -> dict[str, bytes]:
    """Return the reports, each about `length` bytes."""
    tokens = length // 140
    items = [f"{_token(number)} {'x' * 100}" for number in range(min(tokens, 10_000))]
    return {
        "two-letter items": b'{"findings": [' + b",".join([b"{}"] * (length // 3 - 10)) + b"]}",
        "the most items, each with a token": generic(*items),
        "one text full of tokens": generic("\n".join(map(_token, range(tokens)))),
        "one text full of signatures": generic(" ".join(f"sig={_signature(n)}" for n in range(length // 60))),
    }


def _token(number: int) -> str:
    query = f"sv=2022-11-02&sr=b&sp=r&se=2050-01-01&sig={_signature(number)}"
    return f"https://a{number}.blob.core.windows.net/c/b?{query}"


def _signature(number: int) -> str:
    return quote(base64.b64encode(hashlib.sha256(str(number).encode()).digest()).decode(), safe="")


@dataclass(slots=True)
class _Load:
    """What the senders saw."""

    answers: dict[int, int]
    longest_answer: int = 0


async def figures(latencies: Latencies, *, runs: int, length: int = _LONGEST) -> AsyncIterator[Figure]:
    """Yield the memory of the app, and a revocation with the reports against one without them."""
    with tempfile.TemporaryDirectory() as folder:
        async with running(folder=Path(folder), hosts=1, settings=_SETTINGS) as cloud:
            deployment = Deployment(cloud)
            await restart_and_warm_up(cloud)
            await _use_up_the_quota(cloud)
            await revoke(deployment, await deployment.account())  # the first one makes connections
            latencies.inject(cloud)
            alone = await _revocations(deployment, runs)
            before = _peak_mb(cloud)
            load = _Load({})
            senders = [asyncio.create_task(_send(cloud, body, load)) for body in bodies(length).values()]
            try:
                loaded = await _revocations(deployment, runs)
                await _answered(load, len(senders))
            finally:
                for sender in senders:
                    sender.cancel()
                await asyncio.gather(*senders, return_exceptions=True)
            yield Figure(
                "event to regenerateKey, under four hostile reports",
                loaded,
                "s",
                alone,
                f"without them; the aim is at most {_MOST_RATIO} times",
            )
            yield Figure(
                "peak memory of the app, under four hostile reports",
                _peak_mb(cloud),
                "MB",
                before,
                f"before them; the aim is at most {_MOST_MB} MB",
            )
            yield Figure("longest response to a hostile report", load.longest_answer / 1000, "kB")


async def _revocations(deployment: Deployment, runs: int) -> float:
    return median([(await revoke(deployment, await deployment.account())).sent for _ in range(runs)])


async def _use_up_the_quota(cloud: LocalCloud) -> None:
    """Have the sender report one credential, which is all that its quota has."""
    await _post(cloud, generic(_token(0)))


async def _send(cloud: LocalCloud, body: bytes, load: _Load) -> None:
    while True:
        answer = await _post(cloud, body)
        load.answers[answer.status_code] = load.answers.get(answer.status_code, 0) + 1
        load.longest_answer = max(load.longest_answer, len(answer.content))
        await asyncio.sleep(_PAUSE)


async def _post(cloud: LocalCloud, body: bytes) -> httpx.Response:
    posted = reports.signed(cloud.model, _SOURCE, body)
    async with httpx.AsyncClient(base_url=cloud.hosts[0], trust_env=False, timeout=_TIMEOUT) as client:
        return await client.post(f"/api/intake/{posted.source}", content=posted.body, headers=posted.headers)


async def _answered(load: _Load, number: int) -> None:
    """Wait until each report was answered once: parsing them is what takes memory."""
    async with asyncio.timeout(_TIMEOUT):
        while sum(load.answers.values()) < number or 429 not in load.answers:  # noqa: ASYNC110 -- of other processes
            await asyncio.sleep(0.1)


def _peak_mb(cloud: LocalCloud) -> float:
    return peak_mb(cloud.parts.hosts[0].pid)
