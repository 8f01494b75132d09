"""What is made of one finding and all that was read under the lock."""

from datetime import timedelta

import pytest

from shared.decide.policy import Action, PastRotation
from shared.levers.account_key import AccountKey
from shared.retired_keys import RetiredKey, RetiredKeys
from shared.revocation import Reason
from shared.weighing import Scene, Weighed, weigh
from tests import samples
from tests.samples import KEYS, NOW

MINUTE = timedelta(minutes=1)


def scene(*rotations: PastRotation, keys: dict[str, str] | None = None) -> Scene:
    listed = {name: AccountKey(value, NOW) for name, value in (keys or KEYS).items()}
    return Scene(samples.account(), listed, (), rotations, NOW)


def weighed(text: str, in_scene: Scene, *retired: RetiredKey) -> Weighed:
    kept = RetiredKeys(clock=lambda: NOW)
    for key in retired:
        kept.add(samples.account().name, key)
    return weigh(
        samples.finding(text),
        in_scene,
        retired=kept,
        describe=lambda account, key: (f"{key} of {account.name}",),
        settings=samples.settings(),
        now=NOW,
    )


def test_a_proven_key_brings_a_plan_that_says_who_breaks_and_who_decides() -> None:
    one = weighed(samples.account_sas(key_name="key2"), scene())

    assert one.plan is not None
    assert (one.plan.target, one.plan.breaks) == ("key2", (f"key2 of {samples.account().name}",))
    assert one.acts


def test_a_plan_that_asks_does_not_act() -> None:
    one = weighed(samples.blob_sas(permissions="r", life=timedelta(hours=1)), scene())

    assert one.decision is not None
    assert one.decision.action is Action.ASK
    assert not one.acts


def test_what_has_expired_is_not_weighed_further() -> None:
    one = weighed(samples.blob_sas(life=-MINUTE), scene())

    assert (one.verdict.reason, one.plan) == (Reason.EXPIRED, None)


def test_what_a_retired_key_had_signed_is_covered() -> None:
    now_listed = KEYS | {"key2": samples.key("new")}
    one = weighed(
        samples.account_sas(key_name="key2"), scene(keys=now_listed), RetiredKey("key2", KEYS["key2"], NOW - MINUTE)
    )

    assert (one.verdict.reason, one.verdict.key_name, one.plan) == (Reason.COVERED, "key2", None)


@pytest.mark.parametrize(
    ("ago", "is_named"), [(MINUTE, True), (timedelta(hours=1), False)], ids=["lately", "an hour ago"]
)
def test_a_leak_that_no_key_fits_names_a_rotation_of_ours_that_may_be_why(ago: timedelta, is_named: bool) -> None:
    now_listed = KEYS | {"key2": samples.key("new")}
    one = weighed(samples.account_sas(key_name="key2"), scene(PastRotation("key2", NOW - ago), keys=now_listed))

    assert one.verdict.reason is Reason.NO_KEY_MATCHES
    assert ("Sasquash itself regenerated key2" in one.verdict.detail) is is_named
