"""Requests to the stand-in for ARM in process."""

import httpx

from local.arm import service
from local.entra.service import Entra
from local.tenant.model import SUBSCRIPTION_ID, Cloud, Identity
from tests.support.asgi import client

OTHER_SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
API = "api-version=2026-09-01"
ACCOUNTS = f"/subscriptions/{SUBSCRIPTION_ID}/providers/Microsoft.Storage/storageAccounts"
ACCOUNT = (
    f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/models/providers/Microsoft.Storage/storageAccounts/robustmodels"
)
RESOURCES = "/providers/Microsoft.ResourceGraph/resources?api-version=2021-03-01"

QUERY = """resources
| where type =~ 'microsoft.storage/storageaccounts'
| where name =~ 'robustmodels' or tostring(properties.customDomain.name) =~ 'robustmodels.blob.core.windows.net'
| project id, customDomain = tostring(properties.customDomain.name),
    primaryEndpoints = properties.primaryEndpoints, secondaryEndpoints = properties.secondaryEndpoints"""
QUERY_BY_DOMAIN = QUERY.replace("name =~ 'robustmodels' or ", "", 1)


def arm_client(tenant: Cloud, entra: Entra, identity: str | Identity = "developer") -> httpx.AsyncClient:
    """Return a client of ARM with a token of this identity."""
    principal = tenant.identities[identity] if isinstance(identity, str) else identity
    token = entra.mint(principal, audience="https://management.azure.com")
    return client(service.app(tenant, entra), "management.azure.com", token=token)


def error_code(response: httpx.Response) -> str:
    """Return the code of an error response."""
    return str(response.json()["error"]["code"])
