"""The steps toward others: Key Vault, Event Grid, owners, incident, mail, alerts; and the closing of the record."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from shared.domain.alert import AlertReference
from shared.domain.execution import KeyDistributionOutcome
from shared.domain.news import with_announced, with_notification
from shared.domain.pending_steps import (
    closable,
    confirmed_at,
    incident_due,
    left_incident,
    mail_due_in,
    mailed_at_once,
    needs_key_distribution,
    needs_owners,
    open_alerts,
    shares_incident,
    unannounced,
)
from shared.domain.revocation import ClosedAlert, Filed, Notification, Revocation
from shared.domain.states import State
from shared.domain.text import clean
from shared.errors import Blocked, SasquashError, TransientFailure
from shared.followup.alert_closing import AlertCloser
from shared.followup.briefing.build import brief
from shared.followup.events import StateEvents
from shared.followup.incidents.hourly import HourlyIncidents
from shared.followup.incidents.sharepoint import Incidents
from shared.followup.key_distribution import KeyDistributor
from shared.followup.mail.summary_store import SummaryMail
from shared.followup.owners.lookup import Ownership
from shared.followup.owners.notify import Notifier
from shared.followup.step import Done
from shared.persistence.store import Store
from shared.settings import IncidentSink

_PATIENCE = timedelta(hours=24)  # how long a missing right to close an alert may be granted
_LONGEST_SAID = 500
_MOST_FAILURES = 20  # alerts that may fail in one run
_BUDGET = 30.0  # seconds for the alerts of one run; the last one may take four calls more, within the step's lease

if TYPE_CHECKING:  # imports OpenTelemetry, which only a configured app needs
    from shared.followup.traces import Traces


@dataclass(frozen=True, slots=True)
class KeyDistributionStep:
    """Puts the new key into the Key Vault secret of its consumers. A second run finds the new key there."""

    name: ClassVar[str] = "key distribution"
    leased: ClassVar[bool] = True

    distributor: KeyDistributor

    def due_in(self, revocation: Revocation) -> float | None:
        """Due once a key was regenerated."""
        return 0 if revocation.account is not None and needs_key_distribution(revocation) else None

    async def run(self, revocation: Revocation) -> Done:
        """Distribute the key. Raises SasquashError."""
        execution, account = revocation.execution, revocation.account
        if execution is None or account is None:
            return Done()
        distribution = await self.distributor.run(execution, account)
        return Done(
            lambda current: replace(current, key_distribution=distribution),
            distribution.said if distribution.outcome is not KeyDistributionOutcome.NOT_ASKED else "",
        )


@dataclass(frozen=True, slots=True)
class EventStep:
    """Publishes each new state on the Event Grid topic, and as a trace."""

    name: ClassVar[str] = "event"
    leased: ClassVar[bool] = True

    events: StateEvents
    traces: "Traces | None"

    def due_in(self, revocation: Revocation) -> float | None:
        """Due for every state that was not published."""
        return 0 if unannounced(revocation) else None

    async def run(self, revocation: Revocation) -> Done:
        """Publish. Raises SasquashError."""
        changes = unannounced(revocation)
        await self.events.announce(revocation, changes)
        if self.traces is not None:
            self.traces.reached(revocation, changes)
        return Done(lambda current: with_announced(current, changes))


@dataclass(frozen=True, slots=True)
class OwnersStep:
    """Finds the owners of the account before they are named or notified."""

    name: ClassVar[str] = "owner lookup"
    leased: ClassVar[bool] = False

    ownership: Ownership

    def due_in(self, revocation: Revocation) -> float | None:
        """Due for a confirmed leak with a pending incident or mail."""
        return 0 if needs_owners(revocation) else None

    async def run(self, revocation: Revocation) -> Done:
        """Find them."""
        if revocation.account is None:
            return Done()
        found = await self.ownership.of(revocation.account)
        return Done(
            lambda current: replace(current, owners=found.people, owners_rejected=found.rejected),
            f"Owners found: {', '.join(owner.address for owner in found.people) or 'none'}.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentStep:
    """Files the incident, and updates it with each new state. What nobody confirmed shares one with its kind."""

    name: ClassVar[str] = "incident"
    leased: ClassVar[bool] = True

    incidents: Incidents
    hourly: HourlyIncidents
    summary: SummaryMail
    store: Store

    def due_in(self, revocation: Revocation) -> float | None:
        """Due when the incident is missing or shows another state, once all that it says is known."""
        return 0 if incident_due(revocation) else None

    async def run(self, revocation: Revocation) -> Done:
        """File or update it, and leave the one that it shared. Raises SasquashError."""
        filed, what = await self._shown(revocation)
        filed = replace(filed, change=revocation.changes[-1], confirmed_at=confirmed_at(revocation))
        if left_incident(revocation):
            before = revocation.filed
            rejoined = shares_incident(revocation) and before is not None and before.item_id == filed.item_id
            if not rejoined:
                await self.hourly.leave(revocation)
            await self.summary.remove(revocation)
        return Done(
            lambda current: replace(current, filed=filed), "" if self.incidents.name is IncidentSink.MAIL else what
        )

    async def _shown(self, revocation: Revocation) -> tuple[Filed, str]:
        """Write the incident; return it, and what was done."""
        filed, sink = revocation.filed, self.incidents.name
        if shares_incident(revocation):
            group = await self.hourly.join(revocation)
            what = "Added to the incident of the unconfirmed findings of its kind."
            return Filed(group, revocation.state, revocation.reason, shared=True), what
        if filed is not None and filed.shared and revocation.state is State.DISMISSED:
            return replace(filed, state=revocation.state, reason=revocation.reason), "Left the incident of its kind."
        briefing = brief(revocation, now=self.store.clock())
        # Where SASQUASH_INCIDENTS was changed, its id may be another incident's here.
        if filed is None or filed.shared or filed.sink != sink:
            item_id, what = await self.incidents.file(briefing), "Incident filed."
        else:
            item_id, what = filed.item_id, f"Incident updated: {revocation.state}."
            await self.incidents.update(item_id, briefing)
        return Filed(item_id, revocation.state, revocation.reason, sink), what


@dataclass(frozen=True, slots=True, kw_only=True)
class MailStep:
    """Mails the owners and the security mailbox; what can wait goes into the summary mail."""

    name: ClassVar[str] = "mail"
    leased: ClassVar[bool] = True

    notifier: Notifier
    summary: SummaryMail
    traces: "Traces | None"
    store: Store

    def due_in(self, revocation: Revocation) -> float | None:
        """Due for each new state; the mail about a revocation waits a little for its verification."""
        return mail_due_in(revocation, now=self.store.clock())

    async def run(self, revocation: Revocation) -> Done:
        """Send or queue the mail. Raises SasquashError."""
        to: tuple[str, ...] = ()
        if mailed_at_once(revocation):
            to = await self.notifier.send(revocation, now=self.store.clock())
            what = f"Mail sent to {', '.join(to)}."
        else:
            await self.summary.add(revocation)
            what = "Added to the next summary mail to the security mailbox."
        sent = Notification(
            revocation.state,
            to,
            self.store.clock(),
            revocation.reason,
            change=revocation.changes[-1],
            again=revocation.reported_again_at,
            confirmed_at=confirmed_at(revocation),
        )
        if to and self.traces is not None:
            self.traces.mailed(revocation, sent)
        return Done(lambda current: with_notification(current, sent), what)


@dataclass(frozen=True, slots=True)
class AlertClosingStep:
    """Closes the alerts that reports of the leak named, as far as they prove to be about it.

    One that fails holds up no other: anybody who reports the leak can name any alert.
    """

    name: ClassVar[str] = "closing of alerts"
    leased: ClassVar[bool] = True

    closer: AlertCloser
    store: Store

    def due_in(self, revocation: Revocation) -> float | None:
        """Due for each open alert of a revoked leak. Those beyond the checks of a day wait for a sweep."""
        return 0 if open_alerts(revocation) and self._checks_left(revocation) else None

    async def run(self, revocation: Revocation) -> Done:
        """Close what can be closed, or left open for good. Raises SasquashError if nothing can."""
        waiting, until = self._in_turn(open_alerts(revocation)), asyncio.get_running_loop().time() + _BUDGET
        settled: list[ClosedAlert] = []
        failed: dict[AlertReference, SasquashError] = {}
        left = self._checks_left(revocation)
        while waiting and len(settled) < left and len(failed) < _MOST_FAILURES and self._is_before(until):
            down = {alert.source for alert, error in failed.items() if isinstance(error, TransientFailure)}
            # The alerts of a service that does not answer come last: each may take as long as the others together.
            alert = next((alert for alert in waiting if alert.source not in down), waiting[0])
            waiting.remove(alert)
            try:
                settled.append(await self._settle(alert, revocation))
            except SasquashError as error:
                failed[alert] = error
        if failed and not settled:
            raise next(iter(failed.values()))
        now = self.store.clock()
        return Done(
            lambda current: current.with_settled(settled, now=now),
            " ".join(each.said for each in settled),
            again=0 if (failed or waiting) and len(settled) < left else None,
        )

    def _checks_left(self, revocation: Revocation) -> int:
        return revocation.named_alerts.checks_left(self.store.clock())

    def _in_turn(self, alerts: Sequence[AlertReference]) -> list[AlertReference]:
        """Return the alerts; of many, others come first each minute: those that always fail keep no other waiting."""
        first = int(self.store.clock().timestamp()) // 60 % len(alerts) if len(alerts) > _MOST_FAILURES else 0
        return [*alerts[first:], *alerts[:first]]

    def _is_before(self, until: float) -> bool:
        return asyncio.get_running_loop().time() < until

    async def _settle(self, alert: AlertReference, revocation: Revocation) -> ClosedAlert:
        """Close an alert, or leave it open. Raises SasquashError: it is to be tried again."""
        try:
            closing = await self.closer.close(alert, revocation)
        except Blocked as error:
            if self.store.clock() - revocation.changes[-1].at <= _PATIENCE:
                raise
            said = clean(f"{alert} was left open. {error}", limit=_LONGEST_SAID)
            return ClosedAlert(alert, self.store.clock(), said, closed=False)
        return ClosedAlert(alert, self.store.clock(), closing.said, closed=closing.closed)


@dataclass(frozen=True, slots=True)
class ClosingStep:
    """Closes a record with no open items; the next pass updates the incident."""

    name: ClassVar[str] = "closing"
    leased: ClassVar[bool] = False

    store: Store

    def due_in(self, revocation: Revocation) -> float | None:
        """Due once everything else is done."""
        return 0 if closable(revocation) else None

    async def run(self, revocation: Revocation) -> Done:
        """Close it."""

        def closed(current: Revocation) -> Revocation | None:
            if current.state is not revocation.state:
                return None
            return current.reach(State.CLOSED, now=self.store.clock(), detail="Verified revoked. No open items.")

        return Done(closed, "Closed.")
