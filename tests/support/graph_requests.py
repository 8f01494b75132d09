"""Requests to the stand-in for Graph in process."""

import httpx

from local.entra.service import Entra
from local.graph import service
from local.tenant.model import MAIL_SENDER, SHAREPOINT_LIST, SHAREPOINT_SITE, Cloud
from tests.support.asgi import client

ITEMS = f"/v1.0/sites/{SHAREPOINT_SITE}/lists/{SHAREPOINT_LIST}/items"
SEND = f"/v1.0/users/{MAIL_SENDER}/sendMail"
RESPONDER = "81ee9332-c35d-4c3e-9f21-3f7f99e80623"  # the object id of its managed identity
FIELDS = {"Title": "Leaked SAS: robustmodels/key2", "FindingId": "f1", "Severity": "High"}


def as_identity(cloud: Cloud, entra: Entra, name: str) -> httpx.AsyncClient:
    """Return a client of Graph with a token of this identity."""
    token = entra.mint(cloud.identities[name], audience="https://graph.microsoft.com")
    return client(service.app(cloud, entra), "graph.microsoft.com", token=token)


def error_code(response: httpx.Response) -> str:
    """Return the code of an error response."""
    return str(response.json()["error"]["code"])
