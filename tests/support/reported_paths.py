"""Leaks that were reported with a wrong path."""

import re

from local.tenant.model import Account
from shared.domain.finding import Finding
from shared.domain.states import State
from tests.support.containment import rotated
from tests.support.driver import found
from tests.support.leaks import blob_sas

URL = re.compile(r"https://[^/]*/")
REVOKE = "/revokeUserDelegationKeys"


def at(path: str, text: str) -> str:
    """The URL of a leak, with another path."""
    address, _, query = text.partition("?")
    return f"{address.split('/models')[0]}/{path}?{query}"


def blob(account: Account) -> str:
    return blob_sas(account.name, account.keys["key1"])


def wrong(account: Account, text: str, number: int = 0) -> Finding:
    """A stranger's report of the leak, with a path that it was not signed for."""
    return found(at(f"wrongplace{number}/a.ckpt", text), source="stranger", url=f"https://example.com/{number}")


def outcome(account: Account, state: State) -> tuple[State, list[str]]:
    return state, rotated(account)


REVOKED = (State.CONTAINED, ["key1"])
