"""One trace from the event to the mail, as Application Insights gets it from Microsoft's own exporter."""

import asyncio
from typing import Any

from tests.support.deployment import Deployment, is_closed
from tests.support.leaks import account_sas
from tests.support.patience import PATIENCE


def spans(deployment: Deployment, fingerprint: str) -> list[dict[str, Any]]:
    """What was tracked of a record."""
    tracked = (item for item in deployment.cloud.model.telemetry)
    return [i for i in tracked if i["data"]["baseData"]["properties"]["sasquash.fingerprint"] == fingerprint]


def names(items: list[dict[str, Any]]) -> set[str]:
    return {item["data"]["baseData"]["name"] for item in items}


async def test_leak_is_one_trace_from_event_to_mail(deployment: Deployment) -> None:
    account = await deployment.account()
    [fingerprint] = await deployment.report(account_sas(account.name, account.keys["key1"]))
    await deployment.settled(fingerprint, until=is_closed)

    wanted = {"finding", "contained", "proven", "mail", "closed"}
    async with asyncio.timeout(PATIENCE):
        while not wanted <= names(spans(deployment, fingerprint)):  # noqa: ASYNC110 -- another process sends them
            await asyncio.sleep(0.1)

    found = spans(deployment, fingerprint)
    [root] = [item for item in found if item["data"]["baseType"] == "RequestData"]
    others = [item for item in found if item is not root]
    assert {item["tags"]["ai.operation.id"] for item in found} == {root["tags"]["ai.operation.id"]}
    assert {item["tags"]["ai.operation.parentId"] for item in others} == {root["data"]["baseData"]["id"]}
    assert {item["tags"]["ai.cloud.role"] for item in found} == {"sasquash"}
    properties = root["data"]["baseData"]["properties"]
    assert (properties["sasquash.account"], properties["sasquash.action"]) == (account.name, "account_key")
