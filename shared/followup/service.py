"""The slow path, step by step: proof, owners, incident, mail, announcements, closing, there and here (decision 6).

Each step is done once, claimed while it is being done, and retried on its own: a failing mailbox delays neither the
proof nor the incident. A worker that dies between a mail's sending and its recording makes for a second mail.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.actions.registry import Actions
from shared.domain.pending_steps import (
    closable,
    confirmed,
    open_alerts,
    told_at_once,
    unannounced,
    unfiled,
    untold,
    with_verification,
)
from shared.domain.revocation import (
    ClosedAlert,
    Filed,
    KeyDistributionOutcome,
    Notification,
    Outcome,
    Revocation,
    State,
    Verification,
)
from shared.domain.target import ActionKind
from shared.errors import Conflict, SasquashError
from shared.followup.briefing.build import brief
from shared.followup.incidents.sharepoint import Incidents
from shared.persistence.queues import Message, Queues, backoff
from shared.persistence.revocations import Ledger
from shared.persistence.step_leases import CLAIM_TIME, Claims, unclaimed

if TYPE_CHECKING:
    from shared.followup.alert_closing import AlertCloser
    from shared.followup.events import StateEvents
    from shared.followup.investigation.steps import Investigation
    from shared.followup.key_distribution import KeyDistributor
    from shared.followup.mail.summary_store import SummaryMail
    from shared.followup.owners.notify import People
    from shared.followup.traces import Traces

_log = logging.getLogger(__name__)

_MAIL_PATIENCE = timedelta(minutes=2)  # how long the mail about a kill waits for its proof
_GIVE_UP = timedelta(hours=24)
_HEAD_START = 2.0  # seconds; more than a proof takes whose data plane answers
_PASSES = 3  # proven, closed, and nothing more
_ARM_LAG = timedelta(minutes=2)  # how long ARM's list of keys may lag behind ARM's own answer

# A step does one thing about a record and returns how many seconds to wait before it should be looked at again,
# or None when there is nothing left to do about it in this state.
type Step = Callable[[Revocation], Awaitable[float | None]]


@dataclass(frozen=True, slots=True)
class _Again:
    """A step is to be looked at again in so many seconds; `failed`: because a call of it went wrong."""

    seconds: float
    failed: bool = False


class FollowUp:
    """Walks a decided record to its end."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        queues: Queues,
        actions: Actions,
        key_distribution: Callable[[], "KeyDistributor"],
        announcer: Callable[[], "StateEvents"],
        incidents: Callable[[], Incidents],
        people: Callable[[], "People"],
        summary_mail: Callable[[], "SummaryMail"],
        alerts: Callable[[], "AlertCloser"],
        traces: Callable[[], "Traces | None"],
        aftermath: Callable[[], "Investigation"],
        warm_up: Callable[[], None],
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        """`hand_over` to `aftermath` are called when first needed, after `warm_up`.

        `warm_up` imports what they need, which takes seconds; it runs on a thread of its own, because the event loop
        has other leaks to kill.
        """
        self._ledger = ledger
        self._queues = queues
        self._actions = actions
        self._key_distribution = key_distribution
        self._announcer = announcer
        self._incidents = incidents
        self._people = people
        self._summary_mail = summary_mail
        self._alerts = alerts
        self._traces = traces
        self._aftermath = aftermath
        self._warm_up = warm_up
        self._is_warm = False
        self._claims = Claims(ledger, clock=clock, new_id=new_id)
        self._clock = clock

    async def run(self, message: Message) -> None:
        """Do what is due, and re-enqueue what is not done.

        Raises only what nobody foresaw, or that the queue can't be reached.
        """
        try:
            due = await self._run(message)
        except SasquashError as error:
            _log.warning("Following up %s failed for now (%s): %s", message.fingerprint[:12], error.code, error)
            due = [_Again(backoff(message.attempt), failed=True)]
        failed = any(again.failed for again in due)
        if due and not (failed and message.swept):
            # Only failures count as attempts: who waits for a slow proof must not be slow with the mail after it.
            delay, attempt = min(again.seconds for again in due), message.attempt + failed
            await self._queues.follow_up(message.fingerprint, delay=delay, attempt=attempt, swept=message.swept)

    async def _run(self, message: Message) -> list[_Again]:
        due: list[_Again] = []
        revocation = await self._ledger.read(message.fingerprint)
        for _ in range(_PASSES):
            if revocation is None or revocation.state is State.RECEIVED:
                return []  # containment sends a message of its own when it is done
            before = revocation.changes
            due, revocation = await self._pass(revocation, message)
            if revocation.changes == before:
                break
        return due

    async def _pass(self, revocation: Revocation, message: Message) -> tuple[list[_Again], Revocation]:
        """Run every step once; return those that are not done, and the record. The proof gets a head start."""
        verification = asyncio.create_task(self._guarded("verification", self._verify, revocation, message))
        await asyncio.wait({verification}, timeout=_HEAD_START)
        if not self._is_warm:
            await asyncio.to_thread(self._warm_up)
            self._is_warm = True
        if revocation.state is State.CONTAINED:  # by now it may be proven, and that is what is to be told
            revocation = await self._as_it_stands(revocation)
        first = await asyncio.gather(
            self._guarded("hand-over", self._hand_key_over, revocation, message),
            self._guarded("announcement", self._announce, revocation, message),
            self._guarded("usage", self._aftermath().look_at_usage, revocation, message),
            self._guarded("what remains", self._aftermath().look_at_what_remains, revocation, message),
        )
        revocation = await self._as_it_stands(revocation)
        second = await asyncio.gather(verification, self._guarded("incident", self._file, revocation, message))
        then = [await self._guarded("mail", self._tell, revocation, message)]
        then.append(await self._guarded("closing of alerts", self._close_alerts, revocation, message))
        if revocation.state is State.PROVEN:
            then.append(await self._guarded("closing", self._close, await self._as_it_stands(revocation), message))
            revocation = await self._as_it_stands(revocation)
        return [again for again in (*first, *second, *then) if again is not None], revocation

    async def _as_it_stands(self, revocation: Revocation) -> Revocation:
        return await self._ledger.read(revocation.fingerprint) or revocation

    async def _guarded(self, name: str, step: Step, revocation: Revocation, message: Message) -> _Again | None:
        """Run a step; a failure that we know concerns this step alone."""
        try:
            seconds = await step(revocation)
            return _Again(seconds) if seconds is not None else None
        except SasquashError as error:
            _log.warning("Step %s of %s failed (%s): %s", name, revocation.fingerprint[:12], error.code, error)
            if not message.swept and self._clock() - revocation.changes[-1].at > _GIVE_UP:
                await self._note(
                    revocation, f"Not done within 24 hours, and tried every six from now: {name}. {error}"
                )
                return None
            return _Again(backoff(message.attempt, error.retry_after), failed=True)

    async def _verify(self, revocation: Revocation) -> float | None:
        if revocation.state is not State.CONTAINED or revocation.execution is None or revocation.account is None:
            return None
        verification = await self._actions.verify(revocation)
        waited = self._clock() - revocation.execution.at
        if verification.outcome is Outcome.PENDING:
            await self._keep_pending(revocation, verification)
            return min(2.0 + waited.total_seconds() / 4, 30.0)
        if verification.outcome is Outcome.STILL_ALIVE and waited < _ARM_LAG:
            return 5.0
        what = " ".join(verification.evidence)
        await self._ledger.change(
            revocation.fingerprint,
            lambda current: with_verification(current, verification),
            what=what,
            known=revocation,
        )
        return None

    async def _keep_pending(self, revocation: Revocation, verification: Verification) -> None:
        """Note what the data plane says meanwhile: for people, and for when the proof tokens have expired."""
        known = revocation.verification
        if known is not None and known.evidence == verification.evidence:
            return
        await self._ledger.change(
            revocation.fingerprint,
            lambda current: replace(current, verification=verification) if current.state is State.CONTAINED else None,
            what="",
        )

    async def _hand_key_over(self, revocation: Revocation) -> float | None:
        """Put the new key where its consumers fetch it. What runs twice finds the new key there."""
        execution, account = revocation.execution, revocation.account
        if (
            execution is None
            or account is None
            or execution.action is not ActionKind.ACCOUNT_KEY
            or revocation.key_distribution is not None
        ):
            return None
        claimed = await self._claims.take(
            revocation, "hand-over", due=lambda current: current.key_distribution is None
        )
        if claimed is None:
            return CLAIM_TIME.total_seconds()
        try:
            handed = await self._key_distribution().run(execution, account)
        except SasquashError:
            await self._claims.give_back(claimed, "hand-over")
            raise
        await self._ledger.change(
            revocation.fingerprint,
            lambda current: unclaimed(replace(current, key_distribution=handed), "hand-over"),
            what=handed.said if handed.outcome is not KeyDistributionOutcome.NOT_ASKED else "",
            known=claimed,
        )
        return None

    async def _announce(self, revocation: Revocation) -> float | None:
        if not unannounced(revocation):
            return None
        claimed = await self._claims.take(revocation, "announcement", due=lambda current: bool(unannounced(current)))
        if claimed is None:
            return CLAIM_TIME.total_seconds()
        changes = unannounced(claimed)
        try:
            await self._announcer().announce(claimed, changes)
        except SasquashError:
            await self._claims.give_back(claimed, "announcement")
            raise
        if (traces := self._traces()) is not None:
            traces.reached(claimed, changes)
        announced = (*claimed.announced, *changes)
        await self._ledger.change(
            revocation.fingerprint,
            lambda current: unclaimed(replace(current, announced=announced), "announcement"),
            what="",
            known=claimed,
        )
        return None

    async def _file(self, revocation: Revocation) -> float | None:
        if not unfiled(revocation):
            return None
        claimed = await self._claims.take(revocation, "incident", due=unfiled)
        if claimed is None:
            return CLAIM_TIME.total_seconds()
        try:
            claimed = await self._with_owners(claimed)
            briefing = brief(claimed, now=self._clock())
            if claimed.filed is None:
                item_id, what = await self._incidents().file(briefing), "Incident filed."
            else:
                item_id, what = claimed.filed.item_id, f"Incident updated: {claimed.state}."
                await self._incidents().update(item_id, briefing)
        except SasquashError:
            await self._claims.give_back(claimed, "incident")
            raise
        filed = Filed(item_id, claimed.state, claimed.reason)
        await self._ledger.change(
            revocation.fingerprint,
            lambda current: unclaimed(replace(current, filed=filed), "incident"),
            what=what,
            known=claimed,
        )
        return None

    async def _tell(self, revocation: Revocation) -> float | None:
        if not untold(revocation):
            return None
        if revocation.state is State.CONTAINED and revocation.execution is not None:
            left = revocation.execution.at + _MAIL_PATIENCE - self._clock()
            if left > timedelta(0):
                return left.total_seconds()
        claimed = await self._claims.take(revocation, "mail", due=untold)
        if claimed is None:
            return CLAIM_TIME.total_seconds()
        try:
            if told_at_once(claimed):
                claimed = await self._with_owners(claimed)
                to = await self._people().tell(claimed, now=self._clock())
                what = f"Mail sent to {', '.join(to)}."
            else:
                await self._summary_mail().add(claimed)
                to, what = (), "The next digest for the security mailbox tells of it."
        except SasquashError:
            await self._claims.give_back(claimed, "mail")
            raise
        told = Notification(claimed.state, to, self._clock(), claimed.reason)
        if to and (traces := self._traces()) is not None:
            traces.mailed(claimed, told)
        await self._ledger.change(
            revocation.fingerprint,
            lambda current: unclaimed(replace(current, notifications=(*current.notifications, told)), "mail"),
            what=what,
            known=claimed,
        )
        return None

    async def _with_owners(self, revocation: Revocation) -> Revocation:
        """Return the record with its owners looked up, if they are to hear of it."""
        if revocation.owners is not None or revocation.account is None or not confirmed(revocation):
            return revocation
        found = await self._people().find(revocation.account)
        changed = await self._ledger.change(
            revocation.fingerprint,
            lambda current: replace(current, owners=found.people, owners_rejected=found.rejected),
            what=f"Owners found: {', '.join(owner.address for owner in found.people) or 'none'}.",
        )
        return changed or revocation

    async def _close_alerts(self, revocation: Revocation) -> float | None:
        """Say where it was reported that it is dead. Each alert has a claim of its own, and is noted at once."""
        current = await self._as_it_stands(revocation)  # by now it may be proven
        while open_alerts(current):
            claimed = await self._claims.take(current, "alerts", due=lambda record: bool(open_alerts(record)))
            if claimed is None:
                return CLAIM_TIME.total_seconds()
            try:
                said = await self._alerts().close(open_alerts(claimed)[0], claimed)
            except SasquashError:
                await self._claims.give_back(claimed, "alerts")
                raise
            current = await self._note_closed(claimed, said)
        return None

    async def _note_closed(self, claimed: Revocation, said: str) -> Revocation:
        closed = ClosedAlert(open_alerts(claimed)[0], self._clock(), said)
        noted = await self._ledger.change(
            claimed.fingerprint,
            lambda current: unclaimed(replace(current, closed_alerts=(*current.closed_alerts, closed)), "alerts"),
            what=said,
            known=claimed,
        )
        return noted or claimed

    async def _close(self, revocation: Revocation) -> float | None:
        """Close what has nothing open; the incident is updated in the next pass."""
        if not closable(revocation):
            return None
        await self._ledger.change(
            revocation.fingerprint,
            lambda current: (
                current.reach(State.CLOSED, now=self._clock(), detail="Dead, reported, nothing open.")
                if current.state is State.PROVEN
                else None
            ),
            what="Closed.",
        )
        return None

    async def _note(self, revocation: Revocation, what: str) -> None:
        try:
            await self._ledger.change(revocation.fingerprint, lambda current: current, what=what)
        except Conflict as error:
            _log.warning("Not noted in the record: %s (%s)", what, error)
