"""Publishes each state that a record reaches on the Event Grid topic, for other automation (design.md's table)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from azure.core.messaging import CloudEvent
from azure.eventgrid.aio import EventGridPublisherClient

from shared.cloud.errors import translate_errors
from shared.domain.revocation import Change, Revocation

SOURCE = "/sasquash"


@dataclass(frozen=True, slots=True)
class Announcement:
    """One state that a record reached. Its event id consists of record, state and time, so that repetitions match."""

    revocation: Revocation
    change: Change

    @property
    def event_type(self) -> str:
        """The event's type, e.g. Sasquash.Revocation.AwaitingApproval.v1."""
        words = self.change.state.split("_")
        return f"Sasquash.Revocation.{''.join(word.capitalize() for word in words)}.v1"

    def to_event(self) -> CloudEvent[dict[str, str | None]]:
        """Return the CloudEvent. It holds no credential."""
        record, change = self.revocation, self.change
        account = record.account
        return CloudEvent(
            source=SOURCE,
            type=self.event_type,
            id=f"{record.fingerprint}-{change.state}-{_stamp(change.at)}",
            subject=account.id if account is not None else f"/findings/{record.fingerprint}",
            time=change.at,
            data={
                "fingerprint": record.fingerprint,
                "state": change.state.value,
                "reason": change.reason.value if change.reason is not None else None,
                "account_id": account.id if account is not None else None,
                "key": record.key_name,
                "action": record.plan.action.value if record.plan is not None else None,
                "target": record.plan.target if record.plan is not None else None,
                "source": record.finding.source,
                "received_at": record.received_at.isoformat(),
                **self._other_service,
            },
        )

    @property
    def _other_service(self) -> dict[str, str | None]:
        """What leaked, and where, if it belongs to another service: nobody else may know of it."""
        finding = self.revocation.finding
        if finding.other is None:
            return {}
        return {
            "other_service": finding.other.service.value,
            "other_service_sha256": finding.other.sha256,
            "url": finding.url,
        }


@dataclass(frozen=True, slots=True)
class StateEvents:
    """Publishes states, all in one call."""

    client: EventGridPublisherClient

    async def announce(self, revocation: Revocation, changes: Iterable[Change]) -> None:
        """Publish that `revocation` reached each of these states. Raises TransientFailure or Blocked."""
        with translate_errors("Publishing a state on the Event Grid topic"):
            await self.client.send([Announcement(revocation, change).to_event() for change in changes])


def _stamp(at: datetime) -> str:
    return f"{at:%Y%m%dT%H%M%S%f}"
