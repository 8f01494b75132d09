"""File shares with stored access policies, and leaked SAS of them."""

from datetime import UTC, datetime, timedelta

from azure.storage.fileshare import AccessPolicy, generate_share_sas
from azure.storage.fileshare.aio import ShareClient

from local.tenant.model import Account
from tests.support.driver import Driver, Life

NAME = "homes"


def policies(account: Account, share: str = NAME) -> dict[str, str | None]:
    """Return the expiry of the policies of the share as written, by id."""
    identifiers = account.policies.get(("file", share), ())
    return {identifier.id: identifier.policy and identifier.policy.expiry for identifier in identifiers}


async def under_policies(driver: Driver, account: Account, *ids: str, share: str = NAME, days: int = 30) -> None:
    """Create the share or replace its policies, which expire after `days`."""
    end = datetime.now(UTC) + timedelta(days=days)
    endpoint = f"https://{account.name}.file.core.windows.net"
    transport = driver.transport(Life())
    async with ShareClient(endpoint, share, credential=account.keys["key1"], transport=transport) as client:
        if share not in account.shares:
            await client.create_share()
        await client.set_share_access_policy({one: AccessPolicy(permission="rw", expiry=end) for one in ids})


def leak(account: Account, policy: str = "partners", *, key: str = "key1", share: str = NAME) -> str:
    query = generate_share_sas(account.name, share, account.keys[key], policy_id=policy)
    return f"https://{account.name}.file.core.windows.net/{share}/readme.txt?{query}"
