"""Chromium with the console of the deployed app; the local cloud's proxy leads it to the stand-in for Entra ID."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, Page, Playwright, expect

from local.cloud.cloud import LocalCloud
from tests.support.paths import ROOT
from tests.support.patience import PATIENCE

AXE = ROOT / "node_modules/axe-core/axe.min.js"
expect.set_options(timeout=PATIENCE * 1000)  # Playwright's own 5 s are not enough on a machine under load


async def launched(playwright: Playwright, cloud: LocalCloud) -> Browser:
    """Start Chromium; fails if it is not installed."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "Chromium is needed for the tests of the console: `make setup` installs it if it can (apt-get)."
    return await playwright.chromium.launch(
        executable_path=path,
        args=["--no-sandbox"],
        proxy={"server": f"http://127.0.0.1:{cloud.proxy_port}", "bypass": "127.0.0.1"},
    )


@dataclass
class ConsolePage:
    """A tab of one person. `troubles`: errors of the JavaScript console and the page, and CSP violations."""

    page: Page
    url: str
    troubles: list[str] = field(default_factory=list)

    async def open(self, address: str = "#/", *, as_: str) -> None:
        """Open the console at an address, and sign in as the person of that identity."""
        await self.page.goto(f"{self.url}{address}")
        await self.page.locator(f"button[value='{as_}']").click()
        await self.page.wait_for_selector("main h1")

    async def violations(self) -> list[str]:
        """Return the serious and critical violations that axe finds."""
        await self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = await self.page.evaluate("axe.run()")
        return [each["id"] for each in found["violations"] if each["impact"] in ("serious", "critical")]


@asynccontextmanager
async def console_page(browser: Browser, host: str, **options: Any) -> AsyncIterator[ConsolePage]:
    """Open a tab in a new browser context."""
    context = await browser.new_context(ignore_https_errors=True, **options)
    page = await context.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    console = ConsolePage(page, f"{host}/api/desk")
    page.on("console", lambda said: console.troubles.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: console.troubles.append(str(error)))
    try:
        yield console
    finally:
        await context.close()
