"""Leaks under a stored access policy: made, run, and left waiting."""

import asyncio

from local.tenant.model import Account
from shared.domain.revocation import Revocation
from tests.support import shares
from tests.support.driver import Driver, Lifetime, ended, found, report

TOMBSTONE = "2000-01-01"
SET_ACL = "comp=acl"
LIST_KEYS = "/listKeys"
REGENERATE = "/regenerateKey"


async def leaked(
    driver: Driver, *, properties: dict[str, object] | None = None, tag: str = ""
) -> tuple[Account, str]:
    """An account whose file share has two policies, and a leak under one of them."""
    account = await driver.account(properties=properties, tags={"sasquash-policy-removal": tag} if tag else None)
    await shares.under_policies(driver, account, "partners", "suppliers")
    return account, shares.leak(account)


def set_acl(account: Account) -> str:
    return f"PUT https://{account.name}.file.core.windows.net/homes?restype=share&{SET_ACL}"


def get_acl(account: Account) -> str:
    return f"GET https://{account.name}.file.core.windows.net/homes?restype=share&{SET_ACL}"


async def meanwhile(driver: Driver, account: Account, text: str, others: object) -> Revocation:
    """The record, where `others` happens after the app has read the policies, and before it has made a plan."""
    life = Lifetime(stops_at=get_acl(account), carried_out=True)
    containing = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(found(text))))
    await life.stopped.wait()
    await others  # type: ignore[misc]
    life.go.set()
    await containing
    return await ended(driver, found(text).fingerprint)
