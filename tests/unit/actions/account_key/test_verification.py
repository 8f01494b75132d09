"""The account key action: tokens that are tried meanwhile, lost answers, and whether the key is gone."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from local.tenant.model import Account
from shared.actions.account_key import AccountKeyAction, by_listing
from shared.actions.action import Interrupted
from shared.actions.verification import Verifier
from shared.domain.account import AccountKey
from shared.domain.execution import Execution, Outcome, VerificationToken
from shared.domain.revocation import Revocation
from shared.domain.states import Reason
from shared.domain.target import ActionKind
from shared.errors import TransientFailure
from shared.persistence.account_rows import Intent
from shared.sas import key_sha256
from tests.support import samples
from tests.support.account_keys import NEVER, execution
from tests.support.arm_transport import Wire, answering
from tests.support.data_plane import NEW_KEY, DataPlane
from tests.support.samples import KEYS, NOW


async def test_token_answered_before_the_execution_was_accepted_before(
    action: AccountKeyAction, plane: DataPlane
) -> None:
    executed = await execution(action, samples.verification_token())

    assert executed.verification_tokens == (samples.verification_token(accepted_before=True),)
    assert len(plane.requests) == 1


async def test_token_that_is_not_answered_in_time_delays_nothing(
    action: AccountKeyAction, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up: list[VerificationToken] = []

    async def silent(_: Verifier, token: VerificationToken) -> VerificationToken:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.append(token)
        return token

    monkeypatch.setattr(Verifier, "try_before", silent)

    async with asyncio.timeout(NEVER):
        executed = await execution(action, samples.verification_token())

    assert executed.verification_tokens == (samples.verification_token(),)
    assert given_up == [samples.verification_token()]


async def test_token_that_can_t_be_tried_spares_no_key(
    action: AccountKeyAction, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Verifier, token: VerificationToken) -> VerificationToken:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(Verifier, "try_before", broken)

    assert (await execution(action, samples.verification_token())).verification_tokens == (
        samples.verification_token(),
    )
    assert account.keys["key2"] != KEYS["key2"]


async def test_tries_end_with_a_failed_execution(
    action: AccountKeyAction, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[VerificationToken] = []

    async def silent(_: Verifier, token: VerificationToken) -> VerificationToken:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(token)
        return token

    monkeypatch.setattr(Verifier, "try_before", silent)
    wire.instead = answering(503)

    with pytest.raises(TransientFailure):
        async with asyncio.timeout(NEVER):
            await execution(action, samples.verification_token())

    assert ended == [samples.verification_token()]


# an answer that was lost


@pytest.mark.parametrize(("created", "at"), [(NOW - timedelta(seconds=9), NOW - timedelta(seconds=9)), (None, NOW)])
def test_lost_answer_is_settled_by_the_list_of_keys(created: datetime | None, at: datetime) -> None:
    assert by_listing("key2", "0" * 64, AccountKey(NEW_KEY, created), at=NOW) == Execution(
        action=ActionKind.ACCOUNT_KEY,
        target="key2",
        at=at,
        old_sha256="0" * 64,
        new_sha256=key_sha256(NEW_KEY),
        confirmed_by="listing",
        correlation_id=None,
    )


# verify


async def test_regenerated_key_is_verified_revoked(
    action: AccountKeyAction, plane: DataPlane, account: Account
) -> None:
    executed = await execution(action, samples.verification_token())
    plane.keys = list(account.keys.values())

    assert (await action.verify(executed, samples.account(), samples.revocation())).outcome is Outcome.PROVEN


async def test_key_that_arm_still_lists_is_alive(action: AccountKeyAction) -> None:
    assert (
        await action.verify(samples.execution(), samples.account(), samples.revocation())
    ).outcome is Outcome.STILL_ALIVE


async def test_key_that_was_regenerated_again_meanwhile_is_proven_with_the_newest(
    action: AccountKeyAction, plane: DataPlane, account: Account
) -> None:
    executed = replace(await execution(action, samples.verification_token()), new_sha256="0" * 64)
    plane.keys = list(account.keys.values())

    assert (await action.verify(executed, samples.account(), samples.revocation())).outcome is Outcome.PROVEN


# recovery


@pytest.mark.parametrize("knows_the_right_path", [True, False])
async def test_key_that_is_young_for_another_reason_is_no_execution_for_a_leak_that_a_key_still_signs(
    action: AccountKeyAction, *, knows_the_right_path: bool
) -> None:
    right = samples.leak(samples.blob_sas(key_name="key1"))
    first = replace(samples.finding(samples.blob_sas(key_name="key1")), credential=replace(right, path="wrong/a"))
    record = Revocation.of(first.with_readings([right] if knows_the_right_path else []), now=NOW)
    left = interrupted(record, made_meanwhile="key2")

    assert (action.settle_unnoted(left) is None) is knows_the_right_path


@pytest.mark.parametrize(
    ("is_approved", "target", "is_recognized"), [(True, "key2", True), (False, "key2", False), (True, "key1", False)]
)
async def test_new_key_is_the_execution_of_an_order_that_people_approved_for_it(
    action: AccountKeyAction, *, is_approved: bool, target: str, is_recognized: bool
) -> None:
    plan = samples.plan(target=target)
    order = Revocation.of(samples.ordered(ActionKind.ACCOUNT_KEY, target), now=NOW)
    record = replace(order, plan=plan, approval=samples.approval(plan.digest) if is_approved else None)

    found = action.settle_unnoted(interrupted(record, made_meanwhile="key2"))

    assert (found is not None) is is_recognized


@pytest.mark.parametrize(("reason", "is_recognized"), [(Reason.CRASHED, True), (Reason.EXPIRED, False)])
async def test_new_key_is_the_execution_for_a_leak_on_which_containment_has_crashed_since(
    action: AccountKeyAction, reason: Reason, *, is_recognized: bool
) -> None:
    record = Revocation.of(samples.finding(samples.blob_sas(key_name="key2")), now=NOW)
    ended = record.end(reason, now=NOW, detail="")

    assert (action.settle_unnoted(interrupted(ended, made_meanwhile="key2")) is not None) is is_recognized


async def test_new_key_is_the_execution_for_a_leak_with_a_reading_that_can_not_be_recomputed(
    action: AccountKeyAction,
) -> None:
    signed = samples.leak(samples.blob_sas(key_name="key2"))
    finding = samples.finding(samples.blob_sas(key_name="key2")).with_readings([replace(signed, path=None)])

    found = action.settle_unnoted(interrupted(Revocation.of(finding, now=NOW), made_meanwhile="key2"))

    assert found is not None
    assert found.executed.execution.target == "key2"


async def test_new_key_is_no_execution_for_a_leak_that_no_reading_can_decide_on(action: AccountKeyAction) -> None:
    finding = samples.finding(samples.blob_sas(key_name="key2"))
    assert finding.credential is not None
    lost = replace(finding, credential=replace(finding.credential, path=None))

    assert action.settle_unnoted(interrupted(Revocation.of(lost, now=NOW), made_meanwhile="key2")) is None


def interrupted(record: Revocation, *, made_meanwhile: str) -> Interrupted:
    """An account whose lock was held for `record` by an instance that crashed; one key was made meanwhile."""
    made = {
        name: AccountKey(KEYS[name], NOW - timedelta(days=400)) for name in ("key1", "key2") if name != made_meanwhile
    }
    return Interrupted(
        predecessor=Intent("1", record.fingerprint, NOW, NOW + timedelta(minutes=1)),
        account=samples.account(),
        keys=made | {made_meanwhile: AccountKey(NEW_KEY, NOW + timedelta(seconds=5))},
        rotations=(),
        noted=(),
        others=(record,),
    )
