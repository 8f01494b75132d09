"""Decisions of a process that crashes at each of its remote calls."""

from collections.abc import Awaitable, Callable

import pytest

from local.tenant.model import Account
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.errors import (
    SasquashError,
)
from shared.persistence.queues import Message
from tests.support.decisions import (
    BOB,
    EVE,
    approved_by,
    carried_out,
    digest_of,
    evidence,
    locked_down,
    ordered,
    rotated,
    shared_key_of,
)
from tests.support.driver import Crashed, Driver, Lifetime


async def interrupted_everywhere(
    driver: Driver,
    *,
    carried_out: bool,
    begin: Callable[[Account], Awaitable[Revocation]],
    act: Callable[[Driver, Lifetime, Revocation], Awaitable[object]],
    check: Callable[[Account, Revocation, int], Awaitable[None]],
) -> int:
    """Interrupt `act` at each of its remote calls in turn; return their number."""
    number = 0
    while True:
        number += 1
        account = await driver.account()
        record = await begin(account)
        driver.sent.clear()
        life = Lifetime(ends_at=number, carried_out=carried_out)
        try:
            await act(driver, life, record)
        except (Crashed, SasquashError):
            assert life.ended
        if not life.ended:
            return number - 1
        driver.clock.advance(minutes=4)
        await check(account, record, number)


@pytest.mark.parametrize("after", [False, True])
async def test_approval_interrupted_at_any_call_is_not_made_or_executed(driver: Driver, after: bool) -> None:
    given: list[int] = []

    async def approve(driver: Driver, life: Lifetime, record: Revocation) -> object:
        service = driver.app(life).http.revocations
        return await service.approve(record.fingerprint, digest=digest_of(record), reason="Ours.", caller=BOB)

    async def check(account: Account, record: Revocation, number: int) -> None:
        stands = await driver.record(record.fingerprint)
        if stands.state is State.AWAITING_APPROVAL:
            assert (stands.approval, rotated(account)) == (None, []), f"interrupted at call {number}"
            return
        given.append(number)
        # What is left of the interrupted process is the message that it sent before.
        assert (45.0, 0) in driver.messages("contain", record.fingerprint), f"interrupted at call {number}"
        done = await carried_out(driver, record.fingerprint)
        assert (done.state, rotated(account)) == (State.CONTAINED, ["key1"]), f"interrupted at call {number}"
        driver.clock.advance(minutes=4)
        await driver.app().fast_path.containment.resume(Message(record.fingerprint))
        assert driver.messages("follow-up", record.fingerprint), f"interrupted at call {number}"

    calls = await interrupted_everywhere(
        driver,
        carried_out=after,
        begin=lambda account: ordered(driver, account),
        act=approve,
        check=check,
    )
    assert calls > 12
    assert 0 < len(given) < calls


@pytest.mark.parametrize("after", [False, True])
async def test_second_approval_interrupted_at_any_call_is_not_made_or_executed_once(
    driver: Driver, after: bool
) -> None:
    given: list[int] = []

    async def once_approved(account: Account) -> Revocation:
        record = await evidence(driver, account)
        return await approved_by(driver, record, BOB)

    async def check(account: Account, record: Revocation, number: int) -> None:
        stands = await driver.record(record.fingerprint)
        assert stands.first_approval is not None, f"interrupted at call {number}"
        if stands.state is State.AWAITING_APPROVAL:
            assert (stands.approval, rotated(account)) == (None, []), f"interrupted at call {number}"
            return
        given.append(number)
        done = await carried_out(driver, record.fingerprint)
        assert (done.state, rotated(account)) == (State.CONTAINED, ["key1"]), f"interrupted at call {number}"
        assert [one.digest for one in done.approvals] == [digest_of(done)] * 2, f"interrupted at call {number}"

    calls = await interrupted_everywhere(
        driver,
        carried_out=after,
        begin=once_approved,
        act=lambda driver, life, record: approved_by(driver, record, EVE, life=life),
        check=check,
    )
    assert 0 < len(given) < calls


@pytest.mark.parametrize("after", [False, True])
async def test_first_approval_interrupted_at_any_call_never_acts_and_people_hear_of_it(
    driver: Driver, after: bool
) -> None:
    given: list[int] = []

    async def notified(account: Account) -> Revocation:
        record = await evidence(driver, account)
        await driver.app().background.follow_up.run(Message(record.fingerprint))
        return await driver.record(record.fingerprint)

    async def check(account: Account, record: Revocation, number: int) -> None:
        driver.sent.clear()
        await driver.app().fast_path.containment.resume(Message(record.fingerprint))  # what it had sent before
        stands = await driver.record(record.fingerprint)
        assert (stands.state, stands.approval, rotated(account)) == (State.AWAITING_APPROVAL, None, [])
        if stands.first_approval is not None:
            given.append(number)
        heard = bool(driver.messages("follow-up", record.fingerprint))
        assert heard is (stands.first_approval is not None), f"interrupted at call {number}"

    calls = await interrupted_everywhere(
        driver,
        carried_out=after,
        begin=notified,
        act=lambda driver, life, record: approved_by(driver, record, BOB, life=life),
        check=check,
    )
    assert 0 < len(given) < calls


@pytest.mark.parametrize("after", [False, True])
async def test_rejection_interrupted_at_any_call_is_not_made_or_followed_up(driver: Driver, after: bool) -> None:
    given: list[int] = []

    async def reject(driver: Driver, life: Lifetime, record: Revocation) -> object:
        return await driver.app(life).http.revocations.reject(record.fingerprint, reason="A test.", caller=BOB)

    async def check(account: Account, record: Revocation, number: int) -> None:
        stands = await driver.record(record.fingerprint)
        if stands.state is State.AWAITING_APPROVAL:
            return
        given.append(number)
        assert stands.reason is Reason.REJECTED
        assert driver.messages("contain", record.fingerprint) == [(45.0, 0)], f"interrupted at call {number}"
        driver.sent.clear()
        await driver.app().fast_path.containment.resume(Message(record.fingerprint))
        assert driver.messages("follow-up", record.fingerprint), f"interrupted at call {number}"

    calls = await interrupted_everywhere(
        driver, carried_out=after, begin=lambda account: ordered(driver, account), act=reject, check=check
    )
    assert 0 < len(given) < calls


@pytest.mark.parametrize("after", [False, True])
async def test_undo_of_a_lockdown_interrupted_at_any_call_can_be_repeated(driver: Driver, after: bool) -> None:
    async def undo(driver: Driver, life: Lifetime, record: Revocation) -> object:
        return await driver.app(life).http.revocations.undo_lockdown(
            record.fingerprint, reason="All moved.", caller=EVE
        )

    async def check(account: Account, record: Revocation, number: int) -> None:
        stands = await driver.record(record.fingerprint)
        if stands.state is not State.CLOSED:
            await driver.app().http.revocations.undo_lockdown(record.fingerprint, reason="Again.", caller=EVE)
        stands = await driver.record(record.fingerprint)
        assert (stands.state, shared_key_of(account) is not False) == (State.CLOSED, True), f"call {number}"

    calls = await interrupted_everywhere(
        driver, carried_out=after, begin=lambda account: locked_down(driver, account), act=undo, check=check
    )
    assert calls > 6
