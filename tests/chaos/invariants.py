"""What must be true of leaked account SAS once hosts that were killed at random have gone on."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.tenant.model import Account
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from tests.support.deployment import Deployment

_UNDECIDED = (State.RECEIVED, State.CONTAINED)
# What else signed with a rotated key is covered where the host still knows that key, which a killed one does not.
_OF_A_ROTATED_KEY = (Reason.COVERED, Reason.NO_KEY_MATCHES)


@dataclass(frozen=True)
class Leak:
    """An account SAS, signed with the key `key_name`, and when it is published, in seconds.

    `key` is what that key was then, `data` that of the events.
    """

    account: Account
    key_name: str
    key: str
    fingerprint: str
    data: dict[str, Any]
    times: tuple[float, ...]

    @property
    def is_valid(self) -> bool:
        """Whether the key that signed it is still the account's."""
        return self.account.keys[self.key_name] == self.key


def violations(
    deployment: Deployment, leaks: list[Leak], records: Mapping[str, Revocation], *, excused_mails: int
) -> Iterator[str]:
    """Yield what is not as it must be. `excused_mails`: how many may be sent twice, by killed hosts."""
    for leak in leaks:
        yield from _of_leak(leak, records.get(leak.fingerprint))
    accounts = {leak.account.name: leak.account for leak in leaks}.values()
    for account in accounts:
        yield from _of_account(deployment, account, leaks, records)
    filed = Counter(str(incident.fields.get("FindingId")) for incident in deployment.cloud.model.incidents)
    for leak in leaks:
        record = records.get(leak.fingerprint)
        needs_one = record is not None and record.state in (State.CLOSED, State.AWAITING_APPROVAL)
        if filed[leak.fingerprint] > 1 or (needs_one and not filed[leak.fingerprint]):
            yield f"record {leak.fingerprint[:12]} has {filed[leak.fingerprint]} incidents"
    subjects = Counter(mail.subject for account in accounts for mail in deployment.mails(account))
    if (repeated := sum(subjects.values()) - len(subjects)) > excused_mails:
        yield f"{repeated} mails repeated another, of which {excused_mails} are excused"


def _of_leak(leak: Leak, record: Revocation | None) -> Iterator[str]:
    name = f"the leak of {leak.account.name}/{leak.key_name}"
    if record is None:
        yield f"{name} has no record: it is lost"
    elif record.state in _UNDECIDED:
        yield f"{name} is still {record.state}"
    elif leak.is_valid and record.state is not State.AWAITING_APPROVAL:
        yield f"{name} works, and its record says {record.state} ({record.reason})"
    elif not leak.is_valid and record.state is not State.CLOSED and record.reason not in _OF_A_ROTATED_KEY:
        yield f"{name} is revoked, and its record says {record.state} ({record.reason})"


def _of_account(
    deployment: Deployment, account: Account, leaks: list[Leak], records: Mapping[str, Revocation]
) -> Iterator[str]:
    """The second key of an account requires a person, and nobody approves here: one key is rotated, once."""
    own = [leak for leak in leaks if leak.account is account]
    rotated = deployment.rotations(account)
    if len(rotated) != 1 or rotated[0] not in {leak.key_name for leak in own}:
        yield f"of {account.name} these keys were rotated: {rotated}"
    known = (records.get(leak.fingerprint) for leak in own)
    executed = [one.execution.target for one in known if one is not None and one.execution is not None]
    if executed != rotated:
        yield f"of {account.name} {rotated} was rotated, and records hold {executed}"
