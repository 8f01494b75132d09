from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright

from local.cloud.cloud import LocalCloud
from tests.support.browser import ConsolePage, console_page, launched
from tests.support.deployment import Deployment


@pytest.fixture(scope="session")
async def browser(deployed: LocalCloud) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        opened = await launched(playwright, deployed)
        yield opened
        await opened.close()


@pytest.fixture
async def console(browser: Browser, deployed: LocalCloud) -> AsyncIterator[ConsolePage]:
    async with console_page(browser, deployed.hosts[0]) as opened:
        yield opened


@pytest.fixture
def deployment(deployed: LocalCloud) -> Deployment:
    return Deployment(deployed)
