"""Which key signed a leak. The tokens are made by the published client libraries."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.account import PolicyState
from shared.domain.decision.attribution import Verdict, attribute, dormant, expired, named_policy, without_policy_name
from shared.domain.states import STATE_OF, Reason, State
from shared.domain.target import ActionKind, PolicyTarget
from shared.sas import Credential, Service, key_sha256, signature_sha256
from tests.support import samples
from tests.support.samples import ACCOUNT, KEYS, NOW, leak

MAKERS = (samples.account_sas, samples.blob_sas, samples.file_sas, samples.queue_sas, samples.table_sas)


def judged(text: str, *, keys: dict[str, str] = KEYS, account: str = ACCOUNT) -> Verdict:
    return attribute(leak(text), account=account, keys=keys)


def with_parameter(credential: Credential, name: str, value: str) -> Credential:
    return replace(credential, parameters=tuple(sorted((dict(credential.parameters) | {name: value}).items())))


# attribute


@pytest.mark.parametrize("key_name", ["key1", "key2"])
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_token_is_attributed_to_the_key_that_signed_it(make: Callable[..., str], key_name: str) -> None:
    verdict = judged(make(key_name=key_name))

    assert (verdict.key_name, verdict.key_sha256, verdict.reason) == (key_name, key_sha256(KEYS[key_name]), None)


@pytest.mark.parametrize("key_name", ["key1", "key2"])
def test_leaked_key_is_attributed_to_itself(key_name: str) -> None:
    verdict = judged(samples.connection_string(key_name=key_name))

    assert (verdict.key_name, verdict.key_sha256, verdict.reason) == (key_name, key_sha256(KEYS[key_name]), None)


@pytest.mark.parametrize("text", [samples.account_sas(), samples.connection_string()], ids=["token", "key"])
def test_what_no_current_key_fits_needs_a_person(text: str) -> None:
    verdict = judged(text, keys={"key1": samples.key("new1"), "key2": samples.key("new2")})

    assert (verdict.key_name, verdict.key_sha256, verdict.reason) == (None, None, Reason.NO_KEY_MATCHES)


@pytest.mark.parametrize(
    ("name", "value"), [("sp", "rwdlacup"), ("se", "2099-01-01T00:00:00Z"), ("srt", "o"), ("spr", "https")]
)
def test_altered_token_is_attributed_to_no_key(name: str, value: str) -> None:
    altered = with_parameter(leak(samples.account_sas()), name, value)

    assert attribute(altered, account=ACCOUNT, keys=KEYS).reason is Reason.NO_KEY_MATCHES


@given(st.binary(min_size=32, max_size=32))
def test_no_forged_signature_is_attributed(signature: bytes) -> None:
    forged = replace(
        leak(samples.account_sas()), signature_sha256=signature_sha256(base64.b64encode(signature).decode())
    )

    assert attribute(forged, account=ACCOUNT, keys=KEYS).reason is Reason.NO_KEY_MATCHES


def test_token_of_another_account_is_not_attributed_to_keys_that_are_the_same() -> None:
    assert judged(samples.account_sas(), account="elsewhere").reason is Reason.NO_KEY_MATCHES


def test_account_without_keys_attributes_nothing() -> None:
    assert judged(samples.account_sas(), keys={}).reason is Reason.NO_KEY_MATCHES


def test_key_that_is_not_base64_fits_nothing_and_hides_no_other() -> None:
    assert judged(samples.account_sas(), keys={"key1": "***", "key2": KEYS["key2"]}).key_name == "key2"


def test_version_that_is_not_known_yet_is_not_called_forged() -> None:
    newer = with_parameter(leak(samples.account_sas()), "sv", "2099-01-01")

    assert attribute(newer, account=ACCOUNT, keys=KEYS).reason is Reason.UNKNOWN_VERSION


def test_token_without_its_path_is_not_called_forged() -> None:
    lost = replace(leak(samples.blob_sas()), path=None)

    assert attribute(lost, account=ACCOUNT, keys=KEYS).reason is Reason.PATH_LOST


def test_token_without_its_host_is_not_called_forged() -> None:
    unattributed = replace(leak(samples.blob_sas()), host=None, path=None)

    assert attribute(unattributed, account=ACCOUNT, keys=KEYS).reason is Reason.LOOSE


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_smallest_action_for_an_ad_hoc_token_is_its_key(make: Callable[..., str]) -> None:
    assert judged(make()).action is ActionKind.ACCOUNT_KEY


def test_user_delegation_token_is_signed_by_no_account_key() -> None:
    verdict = judged(samples.delegation_sas())

    assert (verdict.action, verdict.key_name, verdict.reason) == (ActionKind.DELEGATION_KEY, None, None)


@pytest.mark.parametrize("service", samples.SERVICES)
def test_policy_token_names_its_key_and_the_smaller_action(service: Service) -> None:
    """Both at once: the key is proven, and regenerating it would be more than is needed."""
    verdict = judged(samples.policy_sas(key_name="key2", service=service))

    assert (verdict.action, verdict.key_name, verdict.reason) == (ActionKind.STORED_POLICY, "key2", None)
    assert "stored access policy 'partners'" in verdict.detail


def test_forged_policy_token_is_not_answered_with_the_policy() -> None:
    verdict = judged(samples.policy_sas(), keys={"key1": samples.key("new")})

    assert (verdict.key_name, verdict.reason) == (None, Reason.NO_KEY_MATCHES)


@pytest.mark.parametrize(
    "verdict",
    [
        judged(samples.account_sas(), keys={}),
        attribute(replace(leak(samples.blob_sas()), path=None), account=ACCOUNT, keys=KEYS),
        attribute(with_parameter(leak(samples.account_sas()), "sv", "2099-01-01"), account=ACCOUNT, keys=KEYS),
    ],
    ids=lambda verdict: verdict.reason.value,
)
def test_undecidable_leak_is_never_dismissed(verdict: Verdict) -> None:
    assert verdict.reason is not None
    assert STATE_OF[verdict.reason] is State.UNRESOLVED


@pytest.mark.parametrize(
    "text",
    [*(make() for make in MAKERS), samples.policy_sas(), samples.delegation_sas(), samples.connection_string()],
)
def test_verdict_repeats_no_key(text: str) -> None:
    assert not any(key.rstrip("=") in repr(judged(text)) for key in KEYS.values())


# expired


@pytest.mark.parametrize(
    ("left", "over"),
    [
        (timedelta(seconds=1), False),
        (timedelta(0), True),
        (timedelta(seconds=-1), True),
        (timedelta(days=-3650), True),
        (timedelta(days=9000), False),
    ],
)
def test_token_is_over_from_its_very_end_on(left: timedelta, over: bool) -> None:
    credential = leak(samples.account_sas(life=timedelta(hours=1)))
    assert credential.expires is not None

    verdict = expired(credential, now=credential.expires - left)

    assert (verdict is not None) is over


def test_expired_token_is_dismissed_with_its_end() -> None:
    verdict = expired(leak(samples.blob_sas(life=timedelta(hours=-1))), now=NOW)

    assert verdict == Verdict(
        "The token expired at 2026-11-21 09:00 UTC; it grants nothing any more.", reason=Reason.EXPIRED
    )


@pytest.mark.parametrize("end", ["soon", "2026-13-45", "9999", "2026-11-21T09:00:00+99:00"])
def test_end_that_cannot_be_read_does_not_pass_for_expired(end: str) -> None:
    assert expired(with_parameter(leak(samples.account_sas()), "se", end), now=NOW) is None


def test_policy_token_is_over_with_its_own_end() -> None:
    """Its policy can't lengthen it: Azure refuses an end that is set in both."""
    verdict = expired(leak(samples.policy_sas(life=timedelta(seconds=-1))), now=NOW)

    assert verdict is not None
    assert verdict.reason is Reason.EXPIRED


def test_policy_token_without_an_end_is_not_over() -> None:
    assert expired(leak(samples.policy_sas()), now=NOW) is None


def test_user_delegation_token_is_over_with_its_key() -> None:
    credential = leak(samples.delegation_sas(life=timedelta(days=300), expiry="2026-11-21T10:00:00Z"))

    assert expired(credential, now=NOW - timedelta(seconds=1)) is None
    assert expired(credential, now=NOW) == Verdict(
        "The token expired at 2026-11-21 10:00 UTC; it grants nothing any more.", reason=Reason.EXPIRED
    )


@pytest.mark.parametrize("text", [samples.account_sas(), samples.blob_sas()])
def test_end_of_a_delegation_key_ends_nothing_that_an_account_key_signed(text: str) -> None:
    """The reporter may have put it there: it is not signed, and no reason to leave the leak valid."""
    assert expired(with_parameter(leak(text), "ske", "2000-01-01"), now=NOW) is None


def test_key_does_not_expire() -> None:
    assert expired(leak(samples.connection_string()), now=NOW) is None


def test_local_end_counts_in_its_own_time_zone() -> None:
    credential = with_parameter(leak(samples.account_sas()), "se", "2026-11-21T12:00:00+02:00")

    assert expired(credential, now=NOW) is not None
    assert expired(credential, now=NOW - timedelta(seconds=1)) is None


# named_policy


@pytest.mark.parametrize(
    ("service", "target"),
    [
        (Service.BLOB, "blob/models/partners"),
        (Service.QUEUE, "queue/jobs/partners"),
        (Service.FILE, "file/share/partners"),
        (Service.TABLE, "table/People/partners"),
    ],
)
def test_policy_is_that_of_the_container_queue_share_or_table(service: Service, target: str) -> None:
    assert named_policy(leak(samples.policy_sas(service=service))) == PolicyTarget.parse(target)


@pytest.mark.parametrize(
    "credential",
    [
        leak(samples.connection_string()),
        leak(samples.blob_sas()),
        replace(leak(samples.policy_sas()), path=None),
        replace(leak(samples.policy_sas()), path="No/such/container"),
        with_parameter(leak(samples.policy_sas()), "si", "p" * 65),
    ],
    ids=["a key", "no policy", "no path", "no such container", "no such policy"],
)
def test_no_policy_is_named_where_azure_can_have_none(credential: Credential) -> None:
    assert named_policy(credential) is None


def test_token_without_a_policy_name_requires_a_person_and_names_its_key() -> None:
    verdict = without_policy_name(judged(samples.policy_sas(key_name="key2")))

    assert (verdict.action, verdict.reason, verdict.key_name) == (None, Reason.PATH_LOST, "key2")
    assert "revoke the token by regenerating key2" in verdict.detail


# dormant


@pytest.mark.parametrize("state", [PolicyState.LIVE, PolicyState.UNREACHABLE])
def test_policy_that_lets_its_tokens_in_or_may_is_not_dormant(state: PolicyState) -> None:
    assert dormant(judged(samples.policy_sas()), samples.reading(state), until=None) is None


@pytest.mark.parametrize(
    ("state", "reason", "revives"),
    [
        (PolicyState.GONE, Reason.POLICY_GONE, "Re-creating it would re-enable"),
        (PolicyState.EXPIRED, Reason.POLICY_EXPIRED, "Extending it would re-enable"),
        (PolicyState.TOMBSTONE, Reason.POLICY_EXPIRED, "Changing it would re-enable"),
    ],
)
def test_dormant_verdict_says_what_would_re_enable_the_token_and_what_revokes_it(
    state: PolicyState, reason: Reason, revives: str
) -> None:
    verdict = dormant(judged(samples.policy_sas()), samples.reading(state), until=NOW + timedelta(days=1))

    assert verdict is not None
    assert (verdict.reason, verdict.action, verdict.key_name) == (reason, None, "key1")
    assert f"{revives} them until 2026-11-22 10:00 UTC." in verdict.detail
    assert "regenerate key1" in verdict.detail


def test_dormant_token_is_not_dismissed() -> None:
    assert {STATE_OF[Reason.POLICY_GONE], STATE_OF[Reason.POLICY_EXPIRED]} == {State.UNRESOLVED}


def test_reading_of_an_expired_policy_has_its_end() -> None:
    reading = samples.reading(PolicyState.EXPIRED, expires=NOW - timedelta(days=1))

    verdict = dormant(judged(samples.policy_sas()), reading, until=None)

    assert verdict is not None
    assert "That policy ended (2026-11-20 10:00 UTC)" in verdict.detail
    assert "would re-enable them." in verdict.detail


def test_order_is_not_advised_to_regenerate_a_key() -> None:
    verdict = dormant(Verdict("Ordered."), samples.reading(PolicyState.GONE), until=None)

    assert verdict is not None
    assert verdict.detail.endswith("Do not re-create it.")
