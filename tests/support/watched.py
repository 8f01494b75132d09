"""Records that are checked daily."""

from shared.domain.revocation import Revocation
from shared.domain.states import Reason
from tests.support.driver import Driver


async def dismiss(driver: Driver, record: Revocation) -> None:
    await driver.app().fast_path.store.revocations.change(
        record.fingerprint,
        lambda current: current.end(Reason.REJECTED, now=driver.clock(), detail="By hand."),
        what="By hand.",
    )


async def nothing_watched(driver: Driver) -> None:
    """Dismiss the records of other tests that would be checked, too: their accounts are what those made of them."""
    async for record in driver.app().fast_path.store.revocations.watched():
        await dismiss(driver, record)
