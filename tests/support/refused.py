"""Records of leaks that Azure refuses to revoke."""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.refusal import Refusal
from shared.domain.revocation import Change, Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from tests.support import samples
from tests.support.samples import NOW

BLOCKED = Reason.BLOCKED


def refused(
    number: int = 1,
    *,
    cause: str = "a lock",
    since: datetime = NOW - timedelta(days=2),
    next_at: datetime | None = NOW + timedelta(hours=1),
    detail: str = "Regenerating key2 failed: 409 ScopeLocked: remove the lock.",
    text: str | None = None,
    order: bool = False,
) -> Revocation:
    """Return the record of a confirmed leak whose revocation was refused today, and first at `since`."""
    finding = samples.ordered(ActionKind.ACCOUNT_KEY, "key2") if order else samples.finding(text)
    return samples.revocation(
        finding=replace(finding, fingerprint=f"{number:064x}"),
        state=State.FAILED,
        reason=BLOCKED,
        detail=detail,
        account=samples.account(),
        key_name="key2",
        plan=samples.plan(),
        refusal=Refusal(cause, since, next_at),
        changes=(Change(State.FAILED, NOW - timedelta(minutes=1), BLOCKED),),
    )
