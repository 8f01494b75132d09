"""The client of Azurite: one pool of TLS connections, and the operations that the local cloud itself needs."""

import base64
import json
import time
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterable
from urllib.parse import quote

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from local.network.certificates import Certificates
from local.storage.azurite import SERVICES, Azurite

_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=120)
_IDLE_SECONDS = 60
_AUTOMATIC_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_API_VERSION = "2021-12-02"
_TABLE_API_VERSION = "2019-02-02"
_QUEUE_BATCH = 5000  # the largest page of a listing


class StorageBackendError(RuntimeError):
    """Azurite refused a request of the local cloud itself."""


class StorageBackend:
    """Sends requests to `azurite`. Open from `start` to `stop`."""

    def __init__(self, azurite: Azurite, certificates: Certificates) -> None:
        self._azurite = azurite
        self._certificates = certificates
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        connector = aiohttp.TCPConnector(
            ssl=self._certificates.client_context(), limit=0, keepalive_timeout=_IDLE_SECONDS
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=_TIMEOUT,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=64 * 1024,
            max_field_size=64 * 1024,
        )

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(
        self,
        service: str,
        *,
        method: str,
        target: str,
        headers: CIMultiDict[str],
        body: bytes | AsyncIterable[bytes] | None,
    ) -> aiohttp.ClientResponse:
        """Send a request unchanged; `target` is the path and query as sent. The caller closes the response.

        Raises aiohttp.ClientError or TimeoutError when Azurite does not answer.
        """
        assert self._session is not None
        return await self._session.request(
            method,
            URL(self._azurite.address(service) + target, encoded=True),
            headers=headers,
            data=body,
            allow_redirects=False,
            skip_auto_headers=_AUTOMATIC_HEADERS,
        )

    async def create_container(self, account: str, name: str) -> None:
        await self._do(account, "blob", "PUT", f"/{name}?restype=container", accepted=(201, 409))

    async def put_blob(self, account: str, container: str, name: str, content: bytes) -> None:
        """Write a block blob. Raises StorageBackendError."""
        headers = {"x-ms-blob-type": "BlockBlob"}
        target = f"/{container}/{quote(name)}"
        await self._do(account, "blob", "PUT", target, body=content, headers=headers, accepted=(201,))

    async def empty_container(self, account: str, container: str) -> None:
        """Delete all blobs of a container, and keep the container."""
        body = await self._do(account, "blob", "GET", f"/{container}?restype=container&comp=list", accepted=(200,))
        for name in ET.fromstring(body).iterfind(".//Blob/Name"):  # from Azurite
            target = f"/{container}/{quote(name.text or '')}"
            await self._do(account, "blob", "DELETE", target, accepted=(202, 404))

    async def create_queue(self, account: str, name: str) -> None:
        await self._do(account, "queue", "PUT", f"/{name}", accepted=(201, 204))

    async def create_table(self, account: str, name: str) -> None:
        body = json.dumps({"TableName": name}).encode()
        await self._do(account, "table", "POST", "/Tables", body=body, accepted=(201, 204, 409))

    async def delete_table(self, account: str, name: str) -> None:
        await self._do(account, "table", "DELETE", f"/Tables('{quote(name)}')", accepted=(204, 404))

    async def table_name(self, account: str, name: str) -> str | None:
        """Return the name of the table as it was created; None if there is no such table."""
        return next((table for table in await self._tables(account) if table.lower() == name.lower()), None)

    async def empty_tables_and_queues(self, account: str) -> None:
        """Delete the content of every table and queue of `account`, and keep the tables and queues."""
        for queue in await self._names(account, "queue", "Queue"):
            await self._do(account, "queue", "DELETE", f"/{queue}/messages", accepted=(204,))
        for table in await self._tables(account):
            await self.delete_table(account, table)
            await self.create_table(account, table)

    async def delete_everything(self, account: str) -> None:
        """Delete every container, queue and table of `account`. A 404 counts as deleted."""
        for container in await self._names(account, "blob", "Container"):
            await self._break_lease(account, container)
            await self._do(account, "blob", "DELETE", f"/{container}?restype=container", accepted=(202, 404))
        for queue in await self._names(account, "queue", "Queue"):
            await self._do(account, "queue", "DELETE", f"/{queue}", accepted=(204, 404))
        for table in await self._tables(account):
            await self.delete_table(account, table)

    async def containers(self, account: str) -> dict[str, str]:
        """Return the public access level of each container in ARM's terms."""
        body = await self._do(account, "blob", "GET", "/?comp=list", accepted=(200,))
        return {
            container.findtext("Name") or "": (container.findtext("Properties/PublicAccess") or "None").capitalize()
            for container in ET.fromstring(body).iterfind(".//Container")  # from Azurite
        }

    async def _break_lease(self, account: str, container: str) -> None:
        """Break the lease, so that the container can be deleted. 409: it has no lease; 404: it does not exist."""
        headers = {"x-ms-lease-action": "break", "x-ms-lease-break-period": "0"}
        target = f"/{container}?restype=container&comp=lease"
        await self._do(account, "blob", "PUT", target, headers=headers, accepted=(202, 404, 409))

    async def _tables(self, account: str) -> list[str]:
        body = await self._do(account, "table", "GET", "/Tables", accepted=(200,))
        return [table["TableName"] for table in json.loads(body)["value"]]

    async def _names(self, account: str, service: str, element: str) -> list[str]:
        body = await self._do(account, service, "GET", f"/?comp=list&maxresults={_QUEUE_BATCH}", accepted=(200,))
        return [name.text or "" for name in ET.fromstring(body).iterfind(f".//{element}/Name")]  # from Azurite

    async def _do(
        self,
        account: str,
        service: str,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        accepted: tuple[int, ...],
    ) -> bytes:
        assert service in SERVICES
        sent = CIMultiDict(
            {
                "Host": f"{account}.{service}.core.windows.net",
                "Authorization": f"Bearer {_token()}",
                "x-ms-version": _TABLE_API_VERSION if service == "table" else _API_VERSION,
                "Accept": "application/json;odata=nometadata" if service == "table" else "application/xml",
                "Content-Type": "application/json" if service == "table" else "application/octet-stream",
                **(headers or {}),
            }
        )
        async with await self.send(service, method=method, target=target, headers=sent, body=body) as response:
            answer = await response.read()
            if response.status not in accepted:
                raise StorageBackendError(f"Azurite answered {response.status} to {method} {target} of {account}")
            return answer


def _token() -> str:
    """Return a token that Azurite accepts: with `--oauth basic` it checks the claims, not the signature."""
    issued = int(time.time())
    claims = {
        "aud": "https://storage.azure.com",
        "iss": "https://sts.windows.net/local/",
        "iat": issued,
        "nbf": issued - 60,
        "exp": issued + 600,
    }
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts), "x"])
