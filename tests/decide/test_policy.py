from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.decide.policy import MODE_TAG, RULES, Action, Decision, PastRotation, decide, effective_mode
from shared.sas import Credential
from shared.settings import Mode, Settings
from tests import samples
from tests.samples import NOW, leak

DAY = timedelta(hours=24)
SMALL = leak(samples.blob_sas(life=timedelta(minutes=5)))
DANGEROUS = leak(samples.account_sas())


def decided(
    credential: Credential = DANGEROUS,
    *,
    tags: dict[str, str] | None = None,
    rotations: tuple[PastRotation, ...] = (),
    settings: Settings | None = None,
    target: str = "key2",
) -> Decision:
    return decide(
        samples.plan(target=target),
        credential,
        tags=tags or {},
        rotations=rotations,
        settings=settings or samples.settings(),
        now=NOW,
    )


def blob_sas(permissions: str, life: timedelta = timedelta(minutes=5)) -> Credential:
    return leak(samples.blob_sas(permissions=permissions, life=life))


def endless(credential: Credential) -> Credential:
    return replace(credential, parameters=tuple((n, "?" if n == "se" else v) for n, v in credential.parameters))


# the rule table, in mode auto


@pytest.mark.parametrize(
    ("credential", "rule", "action"),
    [
        (leak(samples.connection_string()), "account-key", Action.ACT),
        (leak(samples.account_sas(permissions="r", life=timedelta(minutes=5))), "account-wide", Action.ACT),
        (blob_sas("w"), "writes", Action.ACT),
        (blob_sas("d"), "writes", Action.ACT),
        (blob_sas("rc"), "writes", Action.ACT),
        (blob_sas("r", 2 * DAY), "lives-long", Action.ACT),
        (blob_sas("r", DAY + timedelta(seconds=1)), "lives-long", Action.ACT),
        (endless(blob_sas("r")), "lives-long", Action.ACT),
        (blob_sas("r", DAY), "small", Action.ASK),
        (blob_sas("r", DAY - timedelta(seconds=1)), "small", Action.ASK),
        (leak(samples.queue_sas()), "small", Action.ASK),
        (leak(samples.table_sas()), "small", Action.ASK),
        (leak(samples.file_sas()), "small", Action.ASK),
    ],
)
def test_the_first_rule_that_applies_decides(credential: Credential, rule: str, action: Action) -> None:
    decision = decided(credential)

    assert decision.action is action
    assert decision.why.startswith(f"rule {rule}: ")


def test_the_settings_say_what_long_is() -> None:
    settings = samples.settings(act_alone_hours="1")

    assert decided(blob_sas("r", timedelta(hours=2)), settings=settings).action is Action.ACT
    assert decided(blob_sas("r", timedelta(hours=1)), settings=settings).action is Action.ASK


def test_every_rule_is_reached() -> None:
    credentials = (
        leak(samples.connection_string()),
        DANGEROUS,
        blob_sas("w"),
        blob_sas("r", 2 * DAY),
        SMALL,
    )
    names = [rule.name for rule in RULES]

    assert [decided(credential).why.split(":")[0].removeprefix("rule ") for credential in credentials] == names


# modes


@pytest.mark.parametrize("credential", [DANGEROUS, SMALL, leak(samples.connection_string())])
@pytest.mark.parametrize(("mode", "action"), [("observe", Action.OBSERVE), ("approve", Action.ASK)])
def test_outside_of_auto_nothing_acts_alone(mode: str, action: Action, credential: Credential) -> None:
    assert decided(credential, settings=samples.settings(mode=mode)).action is action


@pytest.mark.parametrize("mode", ["observe", "approve"])
def test_the_mode_that_decided_is_told(mode: str) -> None:
    assert decided(settings=samples.settings(mode=mode)).why.startswith(f"the mode is {mode} (SASQUASH_MODE)")


@pytest.mark.parametrize("name", [MODE_TAG, "Sasquash-Mode", "SASQUASH-MODE"])
@pytest.mark.parametrize("value", ["observe", "OBSERVE", " observe\t"])
def test_a_tag_chooses_a_mode_that_the_settings_allow(name: str, value: str) -> None:
    settings = samples.settings(tag_modes="observe,approve")

    assert effective_mode({name: value}, settings) == (Mode.OBSERVE, "the account's tag sasquash-mode")


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("wanted", list(Mode))
@pytest.mark.parametrize("allowed", ["", "observe", "approve", "auto", "observe,approve,auto"])
def test_a_tag_counts_only_within_the_allowed_range(mode: Mode, wanted: Mode, allowed: str) -> None:
    settings = samples.settings(mode=mode.value, tag_modes=allowed)

    effective, _ = effective_mode({MODE_TAG: wanted.value}, settings)

    assert effective is (wanted if wanted.value in allowed.split(",") else mode)


@given(st.text())
def test_no_tag_value_moves_the_mode_where_the_settings_allow_none(value: str) -> None:
    assert effective_mode({MODE_TAG: value}, samples.settings(mode="observe"))[0] is Mode.OBSERVE


@given(st.text(min_size=1).filter(lambda text: text.strip().lower() not in list(Mode)))
def test_a_tag_value_that_is_no_mode_is_ignored_and_not_repeated(value: str) -> None:
    settings = samples.settings(mode="approve", tag_modes="observe,auto")

    ignored = (
        Mode.APPROVE,
        "SASQUASH_MODE; the account's tag sasquash-mode asks for what SASQUASH_TAG_MODES forbids",
    )
    assert effective_mode({MODE_TAG: value}, settings) == ignored


def test_other_tags_choose_nothing() -> None:
    settings = samples.settings(tag_modes="observe")

    assert effective_mode({"mode": "observe", "sasquash-mode2": "observe"}, settings) == (Mode.AUTO, "SASQUASH_MODE")


@pytest.mark.parametrize("credential", [DANGEROUS, SMALL])
def test_a_tag_that_let_us_act_is_told(credential: Credential) -> None:
    settings = samples.settings(mode="observe", tag_modes="auto")

    assert "the account's tag sasquash-mode" in decided(credential, tags={MODE_TAG: "auto"}, settings=settings).why


def test_a_tag_that_would_have_let_us_act_is_told_beside_the_limit_that_asks() -> None:
    settings = samples.settings(mode="observe", tag_modes="auto")

    decision = decided(rotations=(rotated("key1", ago=DAY / 2),), tags={MODE_TAG: "auto"}, settings=settings)

    assert decision.action is Action.ASK
    assert "the account's tag sasquash-mode" in decision.why


@pytest.mark.parametrize("mode", ["observe", "approve", "auto"])
def test_a_tag_that_was_ignored_is_told(mode: str) -> None:
    decision = decided(tags={MODE_TAG: "anything"}, settings=samples.settings(mode=mode))

    assert "asks for what SASQUASH_TAG_MODES forbids" in decision.why


# limits that mode auto does not lift


def rotated(key_name: str, *, ago: timedelta) -> PastRotation:
    return PastRotation(key_name, NOW - ago)


@pytest.mark.parametrize(
    ("ago", "action"),
    [
        (timedelta(0), Action.ASK),
        (DAY - timedelta(seconds=1), Action.ASK),
        (DAY, Action.ACT),
        (timedelta(days=30), Action.ACT),
        (timedelta(seconds=-30), Action.ASK),  # by a machine whose clock is ahead
    ],
)
def test_a_second_key_within_a_day_asks(ago: timedelta, action: Action) -> None:
    assert decided(rotations=(rotated("key1", ago=ago),), target="key2").action is action


def test_the_limit_that_asked_is_told() -> None:
    why = decided(rotations=(rotated("key1", ago=timedelta(hours=1)),), target="key2").why

    assert why.startswith("the account's other key was rotated within 24 hours")


@pytest.mark.parametrize(
    ("limit", "earlier", "action"),
    [("1", 0, Action.ACT), ("1", 1, Action.ASK), ("2", 1, Action.ACT), ("2", 2, Action.ASK), ("3", 7, Action.ASK)],
)
def test_more_rotations_a_day_than_the_settings_let_pass_ask(limit: str, earlier: int, action: Action) -> None:
    rotations = tuple(rotated("key2", ago=timedelta(hours=hour)) for hour in range(earlier))

    assert decided(rotations=rotations, settings=samples.settings(rotations_a_day=limit)).action is action


@pytest.mark.parametrize(("ago", "action"), [(DAY - timedelta(seconds=1), Action.ASK), (DAY, Action.ACT)])
def test_a_rotation_counts_for_a_day(ago: timedelta, action: Action) -> None:
    decision = decided(rotations=(rotated("key2", ago=ago),), settings=samples.settings(rotations_a_day="1"))

    assert decision.action is action


def test_how_many_rotations_there_were_is_told() -> None:
    rotations = (rotated("key2", ago=timedelta(hours=1)), rotated("key2", ago=timedelta(hours=2)))

    assert decided(rotations=rotations).why.startswith("the account's keys were rotated 2 times within 24 hours")


@pytest.mark.parametrize("mode", ["observe", "approve"])
def test_a_limit_does_not_make_a_stricter_mode_looser(mode: str) -> None:
    limited = decided(rotations=(rotated("key1", ago=DAY / 2),), settings=samples.settings(mode=mode))

    assert limited == decided(settings=samples.settings(mode=mode))


@pytest.mark.parametrize(
    "make", [samples.account_sas, samples.connection_string, samples.queue_sas], ids=lambda make: make.__name__
)
def test_no_limit_is_lifted_for_any_kind_of_leak(make: Callable[..., str]) -> None:
    assert decided(leak(make()), rotations=(rotated("key1", ago=DAY / 2),)).action is Action.ASK


@given(
    mode=st.sampled_from(["observe", "approve", "auto"]),
    tag=st.one_of(st.none(), st.sampled_from(["observe", "approve", "auto", "AUTO ", ""])),
    allowed=st.sampled_from(["", "observe", "approve,auto", "observe,approve,auto"]),
    rotations=st.lists(
        st.builds(
            PastRotation,
            st.sampled_from(["key1", "key2"]),
            st.datetimes(NOW.replace(tzinfo=None) - 2 * DAY, NOW.replace(tzinfo=None), timezones=st.just(UTC)),
        ),
        max_size=4,
    ),
    credential=st.sampled_from([DANGEROUS, SMALL, leak(samples.connection_string())]),
)
def test_acting_alone_needs_mode_auto_a_rule_and_no_limit(
    mode: str, tag: str | None, allowed: str, rotations: list[PastRotation], credential: Credential
) -> None:
    settings = samples.settings(mode=mode, tag_modes=allowed)
    tags = {} if tag is None else {MODE_TAG: tag}

    decision = decided(credential, tags=tags, rotations=tuple(rotations), settings=settings)

    lately = [rotation.key_name for rotation in rotations if NOW - rotation.at < DAY]
    auto = effective_mode(tags, settings)[0] is Mode.AUTO
    free = "key1" not in lately and len(lately) < settings.rotations_a_day
    assert (decision.action is Action.ACT) == (auto and free and credential is not SMALL)
