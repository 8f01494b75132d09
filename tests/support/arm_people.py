"""Calls of Azure Resource Manager by a person."""

import httpx

from tests.support.cloud_clients import browser
from tests.support.driver import Driver

API = "api-version=2026-09-01"


async def by_arm(driver: Driver, method: str, path: str, body: object) -> None:
    """Call ARM as the developer, a person."""
    token = driver.cloud.entra.mint(
        driver.cloud.model.identities["developer"], audience="https://management.azure.com"
    )
    async with browser(driver.cloud) as client:
        url = f"https://management.azure.com{path}?{API}"
        answer: httpx.Response = await client.request(
            method, url, json=body, headers={"authorization": f"Bearer {token}"}
        )
    assert answer.is_success, answer.text
