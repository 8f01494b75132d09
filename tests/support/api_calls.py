"""Calls of the responders' API on a deployed app, in the name of the tenant's people."""

from typing import Any

import httpx

from tests.support.deployment import Deployment
from tests.support.patience import PATIENCE

READER, RESPONDER, APPROVER, SECOND_APPROVER = "READER", "RESPONDER", "APPROVER", "SECOND_APPROVER"
REPORTER_NAME, APPROVER_NAME, SECOND_NAME = (
    f"{alias}@contoso.com" for alias in ("responder", "approver", "second-approver")
)


async def call(
    deployment: Deployment, who: str | None, method: str, path: str, body: object = None
) -> httpx.Response:
    """Call the API as READER, RESPONDER, APPROVER, SECOND_APPROVER, with a token of one's own, or without any."""
    token = deployment.cloud.environment.get(f"SASQUASH_TOKEN_{who}", who)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=f"{deployment.cloud.hosts[0]}/api", trust_env=False, timeout=PATIENCE
    ) as client:
        return await client.request(method, path, headers=headers, json=body)


async def report(deployment: Deployment, text: str, **more: object) -> dict[str, Any]:
    """The one record of what a responder reports, once it has come to rest."""
    body = {"text": text, "reason": "Found in a wiki", "wait": 60} | more
    [record] = (await call(deployment, RESPONDER, "POST", "/revocations", body)).json()["revocations"]
    return dict(record)


async def order(deployment: Deployment, account: str, action: str, target: str) -> dict[str, Any]:
    """The record of what an approver orders."""
    body = {"account": account, "action": action, "target": target, "reason": "A laptop was stolen"}
    [record] = (await call(deployment, APPROVER, "POST", "/revocations", body)).json()["revocations"]
    return dict(record)


async def approve(deployment: Deployment, record: dict[str, Any], *, who: str = APPROVER) -> httpx.Response:
    """Approve the plan that `record` has."""
    body = {"digest": record["plan"]["digest"], "reason": "The owner agrees"}
    return await call(deployment, who, "POST", f"/revocations/{record['id']}/approve", body)


async def act(deployment: Deployment, record: dict[str, Any], act: str, *, who: str = APPROVER) -> httpx.Response:
    """Reject, retry, or undo a lockdown."""
    return await call(deployment, who, "POST", f"/revocations/{record['id']}/{act}", {"reason": "I checked it"})


async def read(deployment: Deployment, record: dict[str, Any]) -> dict[str, Any]:
    """The record as it stands, with its history."""
    return dict((await call(deployment, READER, "GET", f"/revocations/{record['id']}")).json())
