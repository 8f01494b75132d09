"""What happens to a plan that nobody decided on in time: it is escalated, or executed where the settings allow it.

The record said from the start which of the two it would be (`Revocation.at_deadline`), and so did incident and mail.
It is never executed where the setting of now says that it is to be escalated.
"""

import logging
from functools import partial

from shared.domain import transitions
from shared.domain.approval import AtDeadline
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.persistence.queues import SAFETY_NET
from shared.persistence.store import Store

_log = logging.getLogger(__name__)


async def settle(store: Store, revocation: Revocation, *, setting: AtDeadline) -> None:
    """Escalate or execute a plan whose deadline has come; do nothing before, or where somebody has decided.

    It is one write, guarded by the record's ETag: of a person and the deadline, the first counts. Containment's
    message is sent before it, and continues with what was written should this instance crash after that.
    """
    outcome = partial(transitions.overdue, now=store.clock(), setting=setting)
    if outcome(revocation) is None:
        return
    await store.accounts.add_waiting(revocation.finding)
    await store.queues.contain(revocation.fingerprint, delay=SAFETY_NET)
    settled = await store.revocations.change(
        revocation.fingerprint, outcome, what="Nobody decided until the deadline."
    )
    if settled is None:
        return
    _log.warning("Nobody decided on %s in time: it is %s.", settled.fingerprint[:12], settled.state)
    if settled.state is State.RECEIVED:
        await store.queues.contain(settled.fingerprint, delay=0)
    else:
        await store.queues.follow_up(settled.fingerprint)
