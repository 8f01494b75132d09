"""The step that reads alerts again: in which order, how long, and what is known where only some could be read."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.alert import AlertEvidence, AlertReference, AlertSource
from shared.domain.approval import EvidenceCheck, EvidenceOutcome, ReadAlert
from shared.domain.finding import Finding
from shared.domain.named_alerts import NamedAlerts
from shared.domain.revocation import Revocation, Sighting
from shared.domain.states import State
from shared.errors import Blocked, NotFound, SasquashError, TransientFailure
from shared.followup.investigation.evidence import EvidenceStep
from tests.support import samples
from tests.support.samples import NOW

NAMED = AlertReference(AlertSource.DEFENDER, "", "dc1")  # by `samples.alerted`
SEEN = [AlertReference(AlertSource.DEFENDER, "", f"dc{number}") for number in range(2, 6)]
HUB = [AlertReference(AlertSource.GITHUB, "contoso/x", str(number)) for number in range(1, 4)]
ON_THEIR_WORD = "Nothing but the report itself says that this token was used."


class Store:
    def clock(self) -> Any:
        return NOW


class Service:
    """Answers for all alerts: those of `says` have this evidence, those of `fails` raise, and all others say nothing.

    Each answer takes `seconds`.
    """

    def __init__(
        self,
        *,
        says: Mapping[AlertReference, AlertEvidence] | None = None,
        fails: Mapping[AlertReference, SasquashError] | None = None,
        seconds: float = 0.0,
    ) -> None:
        self._says = says or {}
        self._fails = fails or {}
        self._seconds = seconds
        self.asked: list[AlertReference] = []
        self.time = 0.0

    async def read(self, alert: AlertReference, found: object) -> tuple[Finding, ...]:
        self.asked.append(alert)
        self.time += self._seconds
        if alert in self._fails:
            raise self._fails[alert]
        said = self._says.get(alert)
        if said is None:
            return ()
        return (Finding.of_evidence(said, source="defender", url=None, detected_at=NOW, alert=alert),)

    @property
    def step(self) -> EvidenceStep:
        tools: Any = dict.fromkeys(AlertSource, lambda: self)
        return EvidenceStep(tools=tools, store=Store())  # type: ignore[arg-type]


def record(*alerts: AlertReference, check: EvidenceCheck | None = None) -> Revocation:
    """A request for approval about evidence, whose alert is `NAMED`; later reports name these."""
    sightings = tuple(Sighting("defender", None, NOW, alert) for alert in alerts)
    waiting = samples.revocation(finding=samples.alerted(), plan=samples.plan(), sightings=sightings)
    return replace(waiting, evidence_check=check).reach(State.AWAITING_APPROVAL, now=NOW, detail="")


def differs(*alerts: AlertReference) -> EvidenceCheck:
    read = tuple(ReadAlert(alert, EvidenceOutcome.DIFFERS) for alert in alerts)
    return EvidenceCheck(EvidenceOutcome.DIFFERS, NOW, "It differs.", read)


async def checked(service: Service, revocation: Revocation) -> tuple[EvidenceCheck, float | None]:
    done = await service.step.run(revocation)
    assert done.change is not None
    after = done.change(revocation)
    assert after is not None
    assert after.evidence_check is not None
    return after.evidence_check, done.again


async def test_alert_that_confirms_the_evidence_settles_it() -> None:
    service = Service(says={SEEN[0]: samples.evidence()}, fails={NAMED: TransientFailure("Down.")})
    check, again = await checked(service, record(*SEEN))
    assert (check.outcome, again) == (EvidenceOutcome.CONFIRMED, None)
    assert service.asked == [NAMED, SEEN[0]]


async def test_alerts_of_a_service_that_does_not_respond_are_read_last() -> None:
    service = Service(fails={HUB[0]: TransientFailure("Down.")})
    await service.step.run(record(*HUB, *SEEN, check=differs(NAMED)))
    assert service.asked == [HUB[0], *SEEN, *HUB[1:]]


async def test_alert_of_a_service_that_does_not_respond_stays_unread() -> None:
    service = Service(fails={HUB[0]: TransientFailure("Down.")})
    check, again = await checked(service, record(HUB[0], SEEN[0], check=differs(NAMED)))
    assert [one.alert for one in check.read] == [NAMED, SEEN[0]]
    assert (check.outcome, again) == (EvidenceOutcome.UNCHECKED, 60.0)


async def test_service_that_does_not_respond_is_tried_again_with_pauses_that_grow() -> None:
    service = Service(fails={HUB[0]: TransientFailure("Down.")})
    with pytest.raises(TransientFailure):
        await service.step.run(record(HUB[0], check=differs(NAMED)))


async def test_people_wait_for_the_first_check_for_a_while() -> None:
    service = Service(fails={NAMED: TransientFailure("Down.")})
    with pytest.raises(TransientFailure):
        await service.step.run(record(SEEN[0]))


async def test_slow_services_leave_the_rest_to_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(seconds=10.0)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: service.time)
    check, again = await checked(service, record(*SEEN))
    assert (service.asked, again) == ([NAMED, *SEEN[:2]], 0.0)
    check, again = await checked(service, record(*SEEN, check=check))
    assert ([one.alert for one in check.read], again) == ([NAMED, *SEEN], None)


async def test_what_is_said_is_bounded_however_many_alerts_are_named() -> None:
    service = Service(fails={NAMED: NotFound("x"), SEEN[0]: Blocked("y" * 5000)})
    check, _ = await checked(service, replace(record(*SEEN, *HUB), named_alerts=NamedAlerts(left_out=("ab" * 8,))))
    assert check.said.startswith(
        "Defender alert dc1 does not exist, or the app has no access to it. Defender alert dc2"
    )
    assert "5 other alerts that reports name do not confirm it either. Reports named further alerts" in check.said
    assert (check.outcome, check.said.endswith(ON_THEIR_WORD)) == (EvidenceOutcome.UNCHECKED, True)
    assert len(check.said) < 1500


async def test_what_another_instance_has_read_meanwhile_is_kept() -> None:
    service = Service()
    done = await service.step.run(record())
    assert done.change is not None
    after = done.change(record(*SEEN[:2], check=differs(SEEN[0])))
    assert after is not None
    assert after.evidence_check is not None
    assert {one.alert for one in after.evidence_check.read} == {NAMED, SEEN[0]}


async def test_what_another_instance_has_confirmed_meanwhile_stays() -> None:
    done = await Service().step.run(record())
    confirmed = EvidenceCheck(EvidenceOutcome.CONFIRMED, NOW, "It says so.", ())
    assert done.change is not None
    assert done.change(record(*SEEN, check=confirmed)) is None


async def test_run_without_anything_to_read_reads_nothing() -> None:
    service = Service()
    done = await service.step.run(record(check=differs(NAMED)))
    assert (done.change, service.asked) == (None, [])


@pytest.mark.parametrize(
    ("reported", "says", "outcome"),
    [
        ({}, {}, EvidenceOutcome.CONFIRMED),
        ({"title": "Another"}, {}, EvidenceOutcome.CONFIRMED),  # its signature is the token's identity
        ({"signature_sha256": None}, {}, EvidenceOutcome.DIFFERS),
        ({}, {"signature_sha256": None}, EvidenceOutcome.DIFFERS),
        ({"signature_sha256": "0" * 64}, {}, EvidenceOutcome.DIFFERS),
        ({"key": "key2"}, {"key": "key1"}, EvidenceOutcome.DIFFERS),
        ({"account": "another"}, {}, EvidenceOutcome.DIFFERS),
        ({"signature_sha256": None}, {"signature_sha256": None}, EvidenceOutcome.CONFIRMED),
        ({"signature_sha256": None, "title": "Another"}, {"signature_sha256": None}, EvidenceOutcome.DIFFERS),
        (
            {"signature_sha256": None, "seen_at": NOW - timedelta(hours=23)},
            {"signature_sha256": None, "seen_at": NOW},
            EvidenceOutcome.CONFIRMED,
        ),
        (
            {"signature_sha256": None, "seen_at": NOW - timedelta(hours=25)},
            {"signature_sha256": None, "seen_at": NOW},
            EvidenceOutcome.DIFFERS,
        ),
        (
            {"signature_sha256": None, "seen_at": NOW + timedelta(hours=1)},
            {"signature_sha256": None, "seen_at": NOW},
            EvidenceOutcome.DIFFERS,
        ),
    ],
)
async def test_alert_confirms_its_own_token_and_no_other(
    reported: dict[str, Any], says: dict[str, Any], outcome: EvidenceOutcome
) -> None:
    service = Service(says={NAMED: samples.evidence(**says)})
    waiting = replace(record(), finding=samples.alerted(**reported))
    assert (await checked(service, waiting))[0].outcome is outcome
