"""How many people an action or a rejection takes."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.caller import Caller
from shared.domain.decision.people import Quorum, quorum, quorum_of, rejecters, reporters
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.target import ActionKind
from tests.support import samples
from tests.support.samples import NOW, PERSON

APP = replace(PERSON, is_person=False)
ORDER = samples.ordered(ActionKind.ACCOUNT_KEY, "key2")
DELEGATED = samples.finding(samples.delegation_sas())


def by(finding: Finding, caller: Caller | None) -> Finding:
    return replace(finding, reported_by=caller)


@pytest.mark.parametrize(
    ("finding", "proven", "approvers"),
    [
        (ORDER, False, 1),
        (by(ORDER, APP), False, 2),
        (by(ORDER, None), False, 2),
        (samples.alerted(), False, 2),
        (DELEGATED, False, 2),
        (by(DELEGATED, PERSON), False, 1),
        (by(DELEGATED, APP), False, 2),
        (replace(DELEGATED, submitted_by=PERSON.object_id), False, 2),  # an event's claim is no person
        (DELEGATED, True, 1),
        (samples.finding(), True, 1),
    ],
)
def test_action_takes_so_many_approvers(finding: Finding, proven: bool, approvers: int) -> None:
    assert quorum(finding, proven=proven).approvers == approvers


def test_order_is_never_proven() -> None:
    assert quorum(ORDER, proven=True).is_order
    assert quorum_of(samples.revocation(finding=ORDER, key_name="key2")).is_order


@pytest.mark.parametrize(
    ("record", "is_order"),
    [
        (samples.revocation(), True),
        (samples.revocation(key_name="key2"), False),
        (samples.revocation(finding=DELEGATED, liveness=samples.liveness(True)), False),
        (samples.revocation(finding=DELEGATED, liveness=samples.liveness(False)), True),
        (samples.revocation(finding=DELEGATED, liveness=samples.liveness(None)), True),
    ],
)
def test_signature_or_azure_s_acceptance_proves_a_leak(record: Revocation, is_order: bool) -> None:
    assert quorum_of(record).is_order is is_order


def test_author_of_a_proven_leak_is_nobody() -> None:
    assert quorum(by(samples.finding(), PERSON), proven=True) == Quorum(is_order=False)


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (samples.alerted(), set()),
        (ORDER, {PERSON.object_id}),
        (replace(ORDER, submitted_by="an intake"), {PERSON.object_id, "an intake"}),
    ],
)
def test_reporters_are_those_who_reported_it_by_either_way(finding: Finding, expected: set[str]) -> None:
    assert reporters(finding) == expected


SEVERE = samples.finding(samples.account_sas())
SMALL = samples.finding(samples.blob_sas())


@pytest.mark.parametrize(
    ("record", "people"),
    [
        (samples.revocation(finding=SEVERE, key_name="key2"), 2),
        (samples.revocation(finding=SEVERE), 1),  # not proven
        (samples.revocation(finding=SMALL, key_name="key1"), 1),  # not severe
        (samples.revocation(finding=ORDER), 1),
        (samples.revocation(finding=samples.finding(samples.connection_string()), key_name="key1"), 2),
    ],
)
def test_rejecting_a_severe_leak_that_works_takes_two(record: Revocation, people: int) -> None:
    assert rejecters(record, now=NOW) == people


def test_rejecting_a_leak_that_has_expired_takes_one() -> None:
    record = samples.revocation(finding=SEVERE, key_name="key2")

    assert rejecters(record, now=NOW + timedelta(days=10000)) == 1
