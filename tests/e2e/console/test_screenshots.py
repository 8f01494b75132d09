"""Pictures of the console for docs/, written to the folder in `DESK_SCREENSHOTS` (`make screenshots`)."""

import os
from pathlib import Path

from playwright.async_api import Browser

from tests.support.browser import console_page
from tests.support.deployment import Deployment, is_closed
from tests.support.leaks import account_sas

FOLDER = os.environ.get("DESK_SCREENSHOTS", "")
WIDE = {"viewport": {"width": 1100, "height": 820}}


async def test_views_are_captured(browser: Browser, deployment: Deployment, tmp_path: Path) -> None:
    folder = Path(FOLDER) if FOLDER else tmp_path
    account = await deployment.account(called="robustmodels")
    [fingerprint] = await deployment.report(account_sas(account.name, account.keys["key1"]))
    await deployment.settled(fingerprint, until=is_closed)
    for view, address, scheme in (("record", f"#/record/{fingerprint}", "light"), ("list", "#/", "dark")):
        async with console_page(browser, deployment.cloud.hosts[0], color_scheme=scheme, **WIDE) as console:
            await console.open(address, as_="approver")
            await console.page.wait_for_selector(".timeline, table")
            await console.page.screenshot(path=folder / f"console-{view}-{scheme}.png")

    assert all(
        (folder / name).stat().st_size > 5000 for name in ("console-record-light.png", "console-list-dark.png")
    )
