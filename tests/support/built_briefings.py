"""Briefings of records in some state, and of records after an execution."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from shared.domain.execution import Outcome, Verification
from shared.domain.finding import Finding
from shared.domain.states import State
from shared.domain.target import ActionKind
from shared.followup.briefing.build import brief
from shared.followup.briefing.model import Briefing
from tests.support import samples
from tests.support.samples import NOW

SECOND = timedelta(seconds=1)


def briefed(**changed: Any) -> Briefing:
    return brief(samples.revocation(**changed), now=NOW)


def contained(**changed: Any) -> Briefing:
    """The briefing of a record whose key2 was regenerated."""
    facts = {
        "state": State.CONTAINED,
        "account": samples.account(),
        "key_name": "key2",
        "attributed_at": NOW + SECOND,
        "plan": samples.plan(),
        "execution": samples.execution(at=NOW + 2 * SECOND),
    }
    return briefed(**(facts | changed))


def verification(outcome: Outcome) -> Verification:
    return Verification(outcome, NOW, ("blob: refused.", "queue: refused."))


UNREADABLE = Finding("ab" * 32, None, "/scanner", None, NOW)


def executed(action: ActionKind, target: str, **changed: Any) -> Briefing:
    plan = replace(samples.plan(), action=action, target=target)
    execution = replace(samples.execution(at=NOW), action=action, target=target, notes=("A note.",))
    return contained(plan=plan, execution=execution, **changed)
