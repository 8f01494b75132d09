"""Which changes of a record people and other systems know, and which are news. Pure.

A mail, an incident and an event are bound to the change that they are about, never to a time: the clocks of two
instances differ, and by half a second a mail would be sent twice, or not at all.

A record that is revived (`Reason.REVIVED`) begins anew: what was known before its revival is no longer true, and
counts no more.
"""

from collections.abc import Iterable
from dataclasses import replace

from shared.domain.revocation import Change, Filed, Notification, Revocation
from shared.domain.states import State

_RECENT_NOTIFICATIONS = 10  # of 800 characters with six recipients; their column holds 32 K


def news_since(revocation: Revocation) -> tuple[Change, ...]:
    """Return the changes since the last revival, with that itself, as far as the record still has them.

    All, where there was none.
    """
    last = _revivals(revocation)
    return tuple(change for change in revocation.changes if change.revivals == last)


def last_change_to(revocation: Revocation, state: State) -> Change | None:
    """Return the change by which the record last reached `state` since its last revival."""
    return next((change for change in reversed(news_since(revocation)) if change.state is state), None)


def notifications_that_count(revocation: Revocation) -> tuple[Notification, ...]:
    """Return the mails since the last revival. Those of earlier versions are from before any."""
    last = _revivals(revocation)
    return tuple(sent for sent in revocation.notifications if _revivals_before(sent) == last)


def announcements_that_count(revocation: Revocation) -> tuple[Change, ...]:
    """Return the changes since the last revival that were published."""
    last = _revivals(revocation)
    return tuple(change for change in revocation.announced if change.revivals == last)


def is_filed_since_revival(revocation: Revocation, filed: Filed) -> bool:
    """Whether the incident was written since the last revival."""
    return _revivals_before(filed) == _revivals(revocation)


def with_notification(revocation: Revocation, sent: Notification) -> Revocation:
    """Return the record with another mail: the latest ones, and the last one about each state and reason.

    Without that, the same would be mailed again. Idempotent.
    """
    notifications = tuple(dict.fromkeys((*revocation.notifications, sent)))
    recent = len(notifications) - _RECENT_NOTIFICATIONS
    counting = (one for one in notifications if _revivals_before(one) == _revivals_before(sent))
    last = {(one.state, one.reason, bool(one.to)): one for one in counting}.values()
    kept = (one for number, one in enumerate(notifications) if number >= recent or one in last)
    return replace(revocation, notifications=tuple(kept))


def with_announced(revocation: Revocation, changes: Iterable[Change]) -> Revocation:
    """Return the record with changes that were published, as far as it still has them, and the last of each state.

    Without those, the same would be published again. Idempotent.
    """
    announced, revivals = tuple(dict.fromkeys((*revocation.announced, *changes))), _revivals(revocation)
    last = {(one.state, one.reason): one for one in announced if one.revivals == revivals}.values()
    kept = (one for one in announced if one in revocation.changes or one in last)
    return replace(revocation, announced=tuple(kept))


def _revivals(revocation: Revocation) -> int:
    return max((change.revivals for change in revocation.changes), default=0)


def _revivals_before(known: Notification | Filed) -> int:
    return known.change.revivals if known.change is not None else 0
