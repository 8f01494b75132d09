"""Clients of a running local cloud, through its proxy and with its certificate authority."""

import itertools
import ssl
from typing import Any

import httpx

from local.cloud.cloud import LocalCloud
from local.tenant.model import Account

_NUMBERS = itertools.count(1)


def options(cloud: LocalCloud) -> dict[str, Any]:
    """Keyword arguments of an Azure SDK client. No retries, so that a test sees every response."""
    proxy = f"http://127.0.0.1:{cloud.proxy_port}"
    return {"proxies": {"https": proxy}, "connection_verify": str(cloud.authority_file), "retry_total": 0}


def browser(cloud: LocalCloud) -> httpx.AsyncClient:
    """Return an HTTP client that uses the proxy."""
    trust = ssl.create_default_context(cafile=cloud.authority_file)
    return httpx.AsyncClient(proxy=f"http://127.0.0.1:{cloud.proxy_port}", verify=trust, trust_env=False)


def control(cloud: LocalCloud) -> httpx.AsyncClient:
    """Return a client of the control port."""
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{cloud.control_port}", trust_env=False)


async def new_account(cloud: LocalCloud, **properties: object) -> Account:
    """Create a storage account for a test."""
    account = Account(name=f"account{next(_NUMBERS)}", resource_group="tests")
    account.properties |= properties
    cloud.model.accounts[account.name] = account
    await cloud.model.keys_changed()
    return account
