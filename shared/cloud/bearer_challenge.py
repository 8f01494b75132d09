"""Asks a storage host, without any credential, which tenant its account belongs to.

From version 2019-12-12 on, Azure Storage answers an anonymous request with 401 and a bearer challenge that names the
account's tenant (REST, "Authorize with Microsoft Entra ID": bearer challenge). Whether an account without public
network access does so is in no document: what does not answer is unknown (`make conformance`).

Anybody can report a thousand tokens of one host: it is asked once, and its answer serves all of them for a while. An
account keeps its tenant unless its subscription is moved; a host that does not say may only be unreachable for now.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest

from shared.cloud.coalescing import Remembered
from shared.cloud.data_plane import Transport, send
from shared.domain.azure_clouds import AzureCloud
from shared.domain.guid import GUID
from shared.sas.hosts import locate

_VERSION = "2021-12-02"  # the table service, too, has challenges by then
_QUESTION = "?restype=service&comp=properties"  # which nobody may read without a credential
_SERVICES = frozenset({"blob", "queue", "table", "file"})
_PARAMETER = re.compile(r'authorization_uri\s*=\s*"?([^",\s]{1,500})')
_TENANT = re.compile(rf"/({GUID})(?:/.*)?")
_KNOWN_FOR = timedelta(minutes=10)  # as long as `Accounts` knows an account
_UNKNOWN_FOR = timedelta(minutes=1)
_MOST = 10_000  # hosts


class Tenancy(StrEnum):
    """Whose storage account it is."""

    OURS = "ours"
    OTHER = "other"
    UNKNOWN = "unknown"


class BearerChallenge:
    """Asks hosts of Azure Storage, and no others, for their tenant: each once in a while."""

    def __init__(
        self,
        transport: Callable[[], Transport],
        *,
        cloud: AzureCloud,
        tenant_id: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._new_transport = transport
        self._cloud = cloud
        self._tenant_id = tenant_id.lower()
        self._answers = Remembered(self._ask, most=_MOST, fresh_for=_fresh_for, clock=clock)

    async def tenancy(self, host: str) -> Tenancy:
        """Return whose account `host` (lower case, no port) is, by its own answer. Raises nothing."""
        asked = self._endpoint(host)
        return await self._answers.get(asked) if asked is not None else Tenancy.UNKNOWN

    async def _ask(self, asked: str) -> Tenancy:
        transport = self._new_transport()
        try:
            answer = await send(
                transport, HttpRequest("GET", f"https://{asked}/{_QUESTION}", headers={"x-ms-version": _VERSION})
            )
        except AzureError:
            return Tenancy.UNKNOWN  # its name does not resolve here, or it is closed to this network
        finally:
            await transport.close()
        tenant = tenant_of(answer.headers.get("WWW-Authenticate", "")) if answer.status == 401 else None
        if tenant is None:
            return Tenancy.UNKNOWN
        return Tenancy.OURS if tenant == self._tenant_id else Tenancy.OTHER

    def _endpoint(self, host: str) -> str | None:
        """Return the host to ask; None for one that is not Azure's, or not of this cloud.

        A static website and a Data Lake endpoint belong to the account of the blob endpoint.
        """
        account = locate(host, None).account
        suffix = f".{self._cloud.storage_suffix}"
        if account is None or not host.endswith((suffix, ".storage.azure.net")):
            return None
        if _SERVICES.isdisjoint(host.split(".")[1:]) and host.endswith(suffix):
            return self._cloud.blob_host(account)
        return host


def _fresh_for(tenancy: Tenancy) -> timedelta:
    return _UNKNOWN_FOR if tenancy is Tenancy.UNKNOWN else _KNOWN_FOR


def tenant_of(challenge: str) -> str | None:
    """Return the tenant id (a lower-case GUID) that a WWW-Authenticate header of Azure Storage names, else None.

    The value of `authorization_uri` is `https://<authority>/<tenant id>/oauth2/authorize`, with or without quotes.
    """
    scheme, _, parameters = challenge.strip().partition(" ")
    found = _PARAMETER.search(parameters) if scheme.lower() == "bearer" else None
    if found is None:
        return None
    try:
        path = urlsplit(found[1]).path
    except ValueError:
        return None
    tenant = _TENANT.fullmatch(path)
    return tenant[1].lower() if tenant is not None else None
