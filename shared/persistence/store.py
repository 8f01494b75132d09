"""What nearly every service needs together: the records, the account rows, the queues, and the time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.persistence.accounts import AccountTable
from shared.persistence.queues import Queues
from shared.persistence.revocations import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The app's durable state, with the clock and the ids that its writes take.

    `clock` returns the time in UTC, `new_id` a new random id.
    """

    revocations: Ledger
    accounts: AccountTable
    queues: Queues
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
