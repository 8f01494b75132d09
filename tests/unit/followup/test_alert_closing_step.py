"""The step that closes alerts: in which order, how long, and what a failing one does to the others."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from shared.domain.alert import AlertReference, AlertSource
from shared.domain.alert_match import Closing
from shared.domain.named_alerts import CHECKS_A_DAY, MOST_WAITING, NamedAlerts
from shared.domain.pending_steps import open_alerts
from shared.domain.revocation import Revocation, Sighting
from shared.domain.states import State
from shared.errors import Blocked, SasquashError, TransientFailure
from shared.followup import steps
from shared.followup.steps import AlertClosingStep
from tests.support import samples
from tests.support.samples import NOW

HUB = [AlertReference(AlertSource.GITHUB, "contoso/x", str(number)) for number in range(1, 5)]
HOOKED = AlertReference(AlertSource.AZURE_DEVOPS, "contoso/x/y", "1")
SEEN = AlertReference(AlertSource.DEFENDER, "", "dc1")


class Store:
    def clock(self) -> Any:
        return NOW


class Closer:
    """Closes alerts, unless they `fail`; `seconds` is how long each takes."""

    def __init__(self, fails: dict[AlertReference, SasquashError] | None = None) -> None:
        self.fails = fails or {}
        self.asked: list[AlertReference] = []

    async def close(self, alert: AlertReference, revocation: Revocation) -> Closing:
        self.asked.append(alert)
        if alert in self.fails:
            raise self.fails[alert]
        return Closing(f"{alert} was closed.", closed=True)


def record(*alerts: AlertReference) -> Revocation:
    sightings = tuple(Sighting("test", None, NOW, alert) for alert in alerts)
    return replace(samples.revocation(execution=samples.execution(), sightings=sightings), state=State.PROVEN).reach(
        State.PROVEN, now=NOW, detail=""
    )


async def run(closer: Closer, revocation: Revocation) -> tuple[Revocation, float | None]:
    done = await AlertClosingStep(closer, Store()).run(revocation)  # type: ignore[arg-type]
    assert done.change is not None
    changed = done.change(revocation)
    assert changed is not None
    return changed, done.again


async def test_all_that_answer_are_closed_in_one_run() -> None:
    closer = Closer()
    after, again = await run(closer, record(*HUB, HOOKED, SEEN))

    assert ([each.alert for each in after.closed_alerts], again) == ([*HUB, HOOKED, SEEN], None)


async def test_service_that_does_not_answer_is_asked_last() -> None:
    closer = Closer({alert: TransientFailure("No answer.") for alert in HUB})
    after, again = await run(closer, record(*HUB, HOOKED, SEEN))

    assert closer.asked == [HUB[0], HOOKED, SEEN, *HUB[1:]]
    assert ([each.alert for each in after.closed_alerts], again) == ([HOOKED, SEEN], 0)


async def test_missing_right_for_one_alert_says_nothing_of_the_next() -> None:
    closer = Closer({HUB[0]: Blocked("No right.")})
    await run(closer, record(*HUB, HOOKED))

    assert closer.asked == [*HUB, HOOKED]


async def test_run_in_which_none_answers_fails_and_is_retried() -> None:
    with pytest.raises(TransientFailure, match="No answer"):
        await run(Closer(dict.fromkeys(HUB, TransientFailure("No answer."))), record(*HUB))


async def test_slow_services_end_a_run_within_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_BUDGET", 1.0)
    loop = asyncio.get_running_loop()
    times = iter([0.0, 0.0, 0.5, 1.0])
    monkeypatch.setattr(loop, "time", lambda: next(times, 2.0))
    closer = Closer()
    after, again = await run(closer, record(*HUB))
    monkeypatch.undo()

    assert ([each.alert for each in after.closed_alerts], again) == (HUB[:2], 0)


async def test_alert_that_another_instance_settled_is_recorded_once() -> None:
    revocation = record(HUB[0])
    done = await AlertClosingStep(Closer(), Store()).run(revocation)  # type: ignore[arg-type]
    assert done.change is not None
    once = done.change(revocation)
    assert once is not None
    twice = done.change(once)

    assert twice is not None
    assert twice.closed_alerts == once.closed_alerts


# Many alerts

MANY = [AlertReference(AlertSource.GITHUB, "contoso/many", str(number)) for number in range(1, 61)]


def many(**changed: Any) -> Revocation:
    return replace(record(), named_alerts=NamedAlerts(tuple(MANY[:MOST_WAITING])), **changed)


async def test_alerts_beyond_the_first_reports_are_closed_and_give_up_their_places() -> None:
    after, again = await run(Closer(), many())

    assert (after.named_alerts.waiting, again) == ((), None)
    assert len(after.closed_alerts) == 20
    assert open_alerts(after) == ()


async def test_only_so_many_alerts_are_settled_a_day() -> None:
    closer = Closer()
    named = NamedAlerts(tuple(MANY[:20]), since=NOW, checked=CHECKS_A_DAY - 2)
    after, again = await run(closer, replace(many(), named_alerts=named))
    step = AlertClosingStep(closer, Store())  # type: ignore[arg-type]

    assert (closer.asked, again, step.due_in(after)) == (MANY[:2], None, None)
    tomorrow = replace(after, named_alerts=replace(after.named_alerts, since=NOW - timedelta(hours=24)))
    assert step.due_in(tomorrow) == 0


async def test_many_alerts_that_fail_cost_a_bounded_number_of_calls_a_run() -> None:
    closer = Closer(dict.fromkeys(MANY, Blocked("No right.")))
    with pytest.raises(Blocked):
        await run(closer, many())

    assert len(closer.asked) == 20


async def test_many_alerts_that_fail_keep_no_other_from_being_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closer, revocation = Closer(dict.fromkeys(MANY[:49], Blocked("No right."))), many()
    times = (NOW + timedelta(seconds=seconds) for seconds in count())
    monkeypatch.setattr(Store, "clock", lambda _: next(times))
    while not revocation.has_settled(MANY[49]) and len(closer.asked) < 49 * 40:
        with suppress(Blocked):
            revocation, _ = await run(closer, revocation)

    assert revocation.has_settled(MANY[49])
