"""Extraction and attribution per second, on one core, for three sizes. Linear code keeps its speed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

from bench.figures import Figure, median
from local.tenant.model import new_storage_key
from shared.sas import Credential, extract, verify

_ACCOUNT = "contosodata"
_LINE = "2026-11-21T10:00:05Z INFO server[17]: stored object 8f3a1c in 14 ms, etag 0x8DC, next page=eyJ0IjoxfQ==\n"
_LINES_A_TOKEN = 8  # lines without a token
EXPIRES = datetime(2051, 10, 6, tzinfo=UTC)
"""When the tokens of the benchmark end."""


def figures(*, runs: int, tokens: int, times: tuple[int, ...] = (1, 2, 4)) -> Iterator[Figure]:
    """Yield MB/s and tokens/s for a log with `tokens` different tokens, and for multiples of that log.

    The same log is repeated.
    """
    keys = {"key1": new_storage_key(), "key2": new_storage_key()}
    log = _text(tokens, keys["key2"])
    credentials = extract(log)
    before: dict[str, float] = {}
    for count in times:
        text, found = log * count, credentials * count
        extracting = median([_timed(partial(extract, text)) for _ in range(runs)])
        attributing = median([_timed(partial(_attribute, found, keys)) for _ in range(runs)])
        size = len(text) / 1_000_000
        for name, value, unit in (
            (f"extraction, {size:.1f} MB with {len(found)} tokens", size / extracting, "MB/s"),
            (f"attribution, {len(found)} tokens", len(found) / attributing, "tokens/s"),
        ):
            base = before.get(unit)
            yield Figure(name, value, unit, base, "half the size" if base else "")
            before[unit] = value


def _text(tokens: int, key: str) -> str:
    """Return a log with `tokens` tokens, all signed by the second key."""
    lines = []
    for number in range(tokens):
        query = generate_account_sas(
            _ACCOUNT,
            key,
            resource_types=ResourceTypes(object=True),
            permission=AccountSasPermissions(read=True),
            expiry=EXPIRES + timedelta(seconds=number),
        )
        lines.append(f"GET https://{_ACCOUNT}.blob.core.windows.net/c/{number}?{query}\n")
        lines += [_LINE] * _LINES_A_TOKEN
    return "".join(lines)


def _attribute(found: Sequence[Credential], keys: Mapping[str, str]) -> None:
    for credential in found:
        verify(credential, account=_ACCOUNT, keys=keys)


def _timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start
