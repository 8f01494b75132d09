"""Pictures of the desk for docs/, written where `DESK_SCREENSHOTS` names a folder (`make screenshots`)."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.desk.browsing import at_the_desk
from tests.roads.leaks import account_sas
from tests.roads.road import Road, is_closed

FOLDER = os.environ.get("DESK_SCREENSHOTS", "")
WIDE = {"viewport": {"width": 1100, "height": 820}}


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_views_are_drawn(browser: Browser, road: Road, tmp_path: Path, scheme: str) -> None:
    folder = Path(FOLDER) if FOLDER else tmp_path
    account = await road.account(called=f"{scheme}models")
    [fingerprint] = await road.report(account_sas(account.name, account.keys["key1"]))
    await road.settled(fingerprint, until=is_closed)
    async with at_the_desk(browser, road.cloud.hosts[0], color_scheme=scheme, **WIDE) as desk:
        await desk.open(f"#/record/{fingerprint}", as_="approver")
        await desk.page.wait_for_selector(".timeline")
        await desk.page.screenshot(path=folder / f"desk-record-{scheme}.png")
        await desk.page.goto(f"{desk.url}#/")
        await desk.page.wait_for_selector("table")
        await desk.page.screenshot(path=folder / f"desk-list-{scheme}.png")

    assert all((folder / f"desk-{view}-{scheme}.png").stat().st_size > 5000 for view in ("record", "list"))
