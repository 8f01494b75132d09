"""Which decided leaks are watched, and until when."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.execution import LockedDown
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.domain.watch import FOR_EVER, Watch, watch, watched_until
from tests.support import samples
from tests.support.samples import NOW

UNDER_POLICY = samples.finding(samples.policy_sas(policy="partners"))
POLICY_ENDED = replace(samples.execution(), action=ActionKind.STORED_POLICY, target=str(samples.POLICY))
SIGNED: dict[str, Any] = {"key_name": "key2", "key_sha256": samples.SIGNER.key_sha256, "signer": samples.SIGNER}


def record(state: State | Reason, **changed: Any) -> Revocation:
    made = samples.revocation(**(SIGNED | changed))
    if isinstance(state, Reason):
        return made.end(state, now=NOW, detail="")
    return made.reach(state, now=NOW, detail="")


@pytest.mark.parametrize("state", [State.PROVEN, State.CLOSED, Reason.STILL_ALIVE])
def test_leak_whose_policy_was_ended_is_watched(state: State | Reason) -> None:
    assert watch(record(state, finding=UNDER_POLICY, execution=POLICY_ENDED)) is Watch.ENDED


def test_leak_that_the_end_of_a_policy_covered_is_watched() -> None:
    assert watch(record(Reason.COVERED, finding=UNDER_POLICY)) is Watch.ENDED


@pytest.mark.parametrize("reason", [Reason.POLICY_GONE, Reason.POLICY_EXPIRED])
def test_dormant_leak_is_watched_for_ever(reason: Reason) -> None:
    dormant = record(reason, finding=UNDER_POLICY)
    assert (watch(dormant), watched_until(dormant)) == (Watch.DORMANT, FOR_EVER)


@pytest.mark.parametrize("state", [State.OBSERVED, State.AWAITING_APPROVAL, Reason.UNDECIDED])
def test_leak_that_nobody_has_revoked_is_watched_until_it_expires(state: State | Reason) -> None:
    ends = NOW + timedelta(days=9)
    open_leak = record(state, finding=samples.finding(samples.account_sas(life=timedelta(days=9))))
    assert (watch(open_leak), watched_until(open_leak)) == (Watch.OPEN, ends)


def test_key_and_token_without_an_end_are_watched_for_ever() -> None:
    assert watched_until(record(State.OBSERVED, finding=samples.finding(samples.connection_string()))) == FOR_EVER


@pytest.mark.parametrize(
    "leak",
    [
        record(State.CLOSED, execution=samples.execution()),  # its key is gone for good
        record(State.CLOSED, finding=UNDER_POLICY, execution=samples.execution()),
        record(Reason.COVERED),
        record(Reason.REJECTED, finding=UNDER_POLICY),
        record(Reason.BLOCKED),  # it is tried again
        record(State.OBSERVED, signer=None),  # of a version that did not keep the attribution
        record(State.OBSERVED, key_name=None, key_sha256=None),
        record(State.RECEIVED),
        record(State.OBSERVED, finding=samples.ordered(ActionKind.ACCOUNT_KEY, "key1")),
    ],
)
def test_nothing_else_is_watched(leak: Revocation) -> None:
    assert (watch(leak), watched_until(leak)) == (Watch.NOTHING, None)


BLOCK = replace(samples.execution(), action=ActionKind.SAS_EXPIRATION_BLOCK, target="7.00:00:00")
LOCKED = LockedDown("7.00:00:00", NOW, "{}", "{}", action=ActionKind.SAS_EXPIRATION_BLOCK)


@pytest.mark.parametrize("reason", [Reason.IN_EFFECT, Reason.STILL_ALIVE])
def test_leak_that_a_sas_policy_keeps_out_is_watched_and_ends_with_the_token(reason: Reason) -> None:
    blocked = record(reason, execution=BLOCK, lockdown=LOCKED)
    assert (watch(blocked), watched_until(blocked)) == (Watch.BLOCKED, FOR_EVER)


def test_order_of_a_sas_policy_is_watched_until_it_is_undone() -> None:
    order = samples.ordered(ActionKind.SAS_EXPIRATION_BLOCK, "7.00:00:00")
    nobody = {"key_name": None, "key_sha256": None, "signer": None}
    blocked = record(Reason.IN_EFFECT, finding=order, execution=BLOCK, lockdown=LOCKED, **nobody)
    undone = replace(blocked, lockdown=replace(LOCKED, undone_at=NOW))
    assert [watched_until(one) for one in (blocked, undone)] == [FOR_EVER, None]
