"""The local cloud's own operations in Azurite, with responses from the test."""

from collections.abc import AsyncIterable
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import aiohttp
import pytest
from multidict import CIMultiDict

from local.network.certificates import Certificates
from local.storage.azurite import Azurite
from local.storage.backend import StorageBackend, StorageBackendError

_LISTS = {
    "blob": b"<R><Containers><Container><Name>models</Name></Container></Containers></R>",
    "queue": b"<R><Queues><Queue><Name>jobs</Name></Queue></Queues></R>",
    "table": b'{"value": [{"TableName": "rows"}]}',
}


class Answer:
    def __init__(self, status: int, body: bytes = b"") -> None:
        self.status = status
        self._body = body

    async def read(self) -> bytes:
        return self._body

    async def __aenter__(self) -> "Answer":
        return self

    async def __aexit__(
        self, _k: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None:
        """Nothing to close."""


class Listed(StorageBackend):
    """A backend that lists one container, queue and table, and answers every other request with `status`."""

    def __init__(self, folder: Path, status: int) -> None:
        certificates = cast(Certificates, None)
        super().__init__(Azurite(folder=folder, certificates=certificates), certificates)
        self._status = status
        self.asked: list[tuple[str, str]] = []

    async def send(
        self,
        service: str,
        *,
        method: str,
        target: str,
        headers: CIMultiDict[str],
        body: bytes | AsyncIterable[bytes] | None,
    ) -> aiohttp.ClientResponse:
        self.asked.append((method, target))
        answer: Any = Answer(200, _LISTS[service]) if method == "GET" else Answer(self._status)
        return cast(aiohttp.ClientResponse, answer)


async def test_missing_resource_counts_as_deleted(tmp_path: Path) -> None:
    backend = Listed(tmp_path, 404)
    await backend.delete_everything("models")
    assert [target for method, target in backend.asked if method == "DELETE"] == [
        "/models?restype=container",
        "/jobs",
        "/Tables('rows')",
    ]


async def test_refused_deletion_keeps_the_policies(tmp_path: Path) -> None:
    with pytest.raises(StorageBackendError, match="500"):
        await Listed(tmp_path, 500).delete_everything("models")
