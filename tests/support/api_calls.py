"""Calls of the responder API of a deployed app, as the people of the tenant."""

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
    """Call the API as READER, RESPONDER, APPROVER or SECOND_APPROVER, with another token, or without one."""
    token = deployment.cloud.environment.get(f"SASQUASH_TOKEN_{who}", who)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=f"{deployment.cloud.hosts[0]}/api", trust_env=False, timeout=PATIENCE
    ) as client:
        return await client.request(method, path, headers=headers, json=body)


async def report(deployment: Deployment, text: str, **more: object) -> dict[str, Any]:
    """Report `text` as a responder and wait; return the only record."""
    body = {"text": text, "reason": "Found in a wiki", "wait": 60} | more
    [record] = (await call(deployment, RESPONDER, "POST", "/revocations", body)).json()["revocations"]
    return dict(record)


async def order(deployment: Deployment, account: str, action: str, target: str) -> dict[str, Any]:
    """Order an action as an approver; return the record."""
    body = {"account": account, "action": action, "target": target, "reason": "A laptop was stolen"}
    [record] = (await call(deployment, APPROVER, "POST", "/revocations", body)).json()["revocations"]
    return dict(record)


async def approve(deployment: Deployment, record: dict[str, Any], *, who: str = APPROVER) -> httpx.Response:
    """Approve the plan of `record`."""
    body = {"digest": record["plan"]["digest"], "reason": "The owner agrees"}
    return await call(deployment, who, "POST", f"/revocations/{record['id']}/approve", body)


async def act(deployment: Deployment, record: dict[str, Any], act: str, *, who: str = APPROVER) -> httpx.Response:
    """Reject, retry, or undo a lockdown, by the name of the route."""
    return await call(deployment, who, "POST", f"/revocations/{record['id']}/{act}", {"reason": "Reviewed"})


async def read(deployment: Deployment, record: dict[str, Any]) -> dict[str, Any]:
    """Return the current record with its history."""
    return dict((await call(deployment, READER, "GET", f"/revocations/{record['id']}")).json())
