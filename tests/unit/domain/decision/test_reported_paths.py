"""Which of the reported paths counts: in attribution, in the record, and when another report brings a new one."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from azure.storage.blob import generate_container_sas
from hypothesis import given
from hypothesis import strategies as st

from shared.actions.registry import ACTION_SPECS
from shared.domain.account import AccountKey, PolicyState
from shared.domain.decision import outcomes
from shared.domain.decision.attribution import attribute_any
from shared.domain.decision.batch import Batch, Decider
from shared.domain.decision.duplicates import with_report
from shared.domain.decision.evaluation import Evaluation, Known, evaluate, policy_of
from shared.domain.decision.snapshot import Snapshot
from shared.domain.decision.user_delegation import may_be_asked, with_answer
from shared.domain.execution import Liveness
from shared.domain.finding import Finding
from shared.domain.known_paths import MOST, KnownPath
from shared.domain.report import in_text
from shared.domain.retired_keys import RetiredKey, RetiredKeys
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.sas import Credential
from shared.sas.credential import is_plain
from tests.support import samples
from tests.support.samples import ACCOUNT, KEYS, NOW, POLICY, leak

RIGHT = leak(samples.blob_sas(permissions="rw", life=timedelta(days=300)))
WRONG, LOST = replace(RIGHT, path="wrong/a.ckpt"), replace(RIGHT, path=None)
LATER = NOW + timedelta(seconds=1)


def finding(*readings: Credential) -> Finding:
    return Finding(readings[0].fingerprint, readings[0], "github", None, NOW).with_readings(readings)


def snapshot(*waiting: Finding, keys: dict[str, str] = KEYS) -> Snapshot:
    listed = {name: AccountKey(value, NOW) for name, value in keys.items()}
    readings = {str(POLICY): samples.reading(PolicyState.LIVE)}
    return Snapshot(samples.account(), listed, waiting, (), NOW, readings)


def evaluated(one: Finding, *retired: RetiredKey, keys: dict[str, str] = KEYS) -> Evaluation:
    kept = RetiredKeys(clock=lambda: NOW)
    for key in retired:
        kept.add(ACCOUNT, key)
    policy = samples.settings(mode="auto").decision_policy(ACTION_SPECS)
    return evaluate(one, snapshot(keys=keys), known=Known(), retired=kept, policy=policy, now=NOW)


def ended(reason: Reason, *readings: Credential) -> Revocation:
    record = Revocation.of(finding(*readings), now=NOW)
    tried = record.paths.tried(readings[0], readings)
    return replace(record, paths=tried).end(reason, now=NOW, detail="")


# attribution


@pytest.mark.parametrize("readings", [(RIGHT, WRONG), (WRONG, RIGHT), (LOST, WRONG, RIGHT)])
def test_reading_that_a_key_signed_counts(readings: tuple[Credential, ...]) -> None:
    signed, verdict = attribute_any(readings, account=ACCOUNT, keys=KEYS)

    assert (signed, verdict.key_name) == (RIGHT, "key1")


@pytest.mark.parametrize(
    ("readings", "reason"),
    [
        ((WRONG, replace(WRONG, path="another/b")), Reason.NO_KEY_MATCHES),
        ((WRONG, LOST), Reason.PATH_LOST),
        ((LOST, WRONG), Reason.PATH_LOST),
    ],
)
def test_no_key_matches_is_certain_only_if_every_path_was_tried(
    readings: tuple[Credential, ...], reason: Reason
) -> None:
    assert attribute_any(readings, account=ACCOUNT, keys=KEYS)[1].reason is reason


WRONG_PATHS = st.lists(st.text(min_size=1, max_size=20).filter(lambda path: path != RIGHT.path), max_size=8)


@given(WRONG_PATHS, st.integers(0, 8))
def test_right_path_is_found_wherever_it_stands_among_hostile_ones(wrong: list[str], place: int) -> None:
    readings = [replace(RIGHT, path=path) for path in wrong if is_plain(path)]
    readings.insert(place, RIGHT)

    assert attribute_any(readings, account=ACCOUNT, keys=KEYS)[0].container == "models"
    assert attribute_any(readings, account=ACCOUNT, keys=KEYS)[1].key_name == "key1"


@given(WRONG_PATHS)
def test_hostile_paths_alone_are_attributed_to_no_key(wrong: list[str]) -> None:
    readings = [WRONG, *(replace(RIGHT, path=path) for path in wrong if is_plain(path))]

    assert attribute_any(readings, account=ACCOUNT, keys=KEYS)[1].key_name is None


def test_token_of_an_unknown_version_is_never_said_to_match_no_key() -> None:
    parameters = tuple(sorted((dict(RIGHT.parameters) | {"sv": "2099-01-01"}).items()))
    newer = [replace(one, parameters=parameters) for one in (LOST, WRONG)]

    assert attribute_any(newer, account=ACCOUNT, keys=KEYS)[1].reason is Reason.UNKNOWN_VERSION


def test_verdict_says_how_many_paths_were_tried() -> None:
    assert "2 reported paths were tried" in attribute_any((WRONG, LOST), account=ACCOUNT, keys=KEYS)[1].detail
    assert "paths were tried" not in attribute_any((WRONG,), account=ACCOUNT, keys=KEYS)[1].detail


def test_plan_is_about_the_reading_that_verified() -> None:
    one = evaluated(finding(WRONG, LOST, RIGHT))

    assert (one.finding.credential, one.plan and one.plan.target) == (RIGHT, "key1")
    assert set(one.finding.readings) == {WRONG, LOST, RIGHT}


@pytest.mark.parametrize("readings", [(WRONG, RIGHT), (LOST, RIGHT)])
def test_retired_key_is_tried_at_every_path(readings: tuple[Credential, ...]) -> None:
    new = {"key1": samples.key("new1"), "key2": samples.key("new2")}
    one = evaluated(finding(*readings), RetiredKey("key1", KEYS["key1"], NOW), keys=new)

    assert (one.verdict.reason, one.verdict.key_name, one.finding.credential) == (Reason.COVERED, "key1", RIGHT)


def test_policy_is_that_of_the_container_that_was_signed() -> None:
    signed = leak(samples.policy_sas())
    one = finding(replace(signed, path="wrong"), signed)

    assert policy_of(one, snapshot()) == POLICY
    assert policy_of(finding(replace(signed, path="wrong")), snapshot()) is None


# values that a text does not say how to read


@pytest.mark.parametrize("policy", ["partners a", "partners+a"])
def test_policy_s_name_is_read_as_it_was_signed(policy: str) -> None:
    """Go writes a space as `+` (net/url, `Values.Encode`), .NET leaves a policy's name as it is: both are `a+b`."""
    token = generate_container_sas(ACCOUNT, "models", account_key=KEYS["key1"], policy_id=policy)
    written = re.sub("si=[^&]*", "si=partners+a", token)
    [reported] = in_text(
        f"https://{ACCOUNT}.blob.core.windows.net/models?{written}", source="github", url=None, detected_at=NOW
    )
    record = Revocation.of(reported.finding, now=NOW)
    signed, verdict = attribute_any(record.to_weigh.readings, account=ACCOUNT, keys=KEYS)

    assert (signed.policy, verdict.key_name) == (policy, "key1")


RESPELLED = replace(RIGHT, parameters=tuple(sorted((dict(RIGHT.parameters) | {"sip": "203.0.113.9"}).items())))


def test_record_has_the_parameters_that_verified_and_its_fingerprint_stays() -> None:
    record = Revocation.of(finding(RESPELLED, RIGHT), now=NOW)
    known = outcomes.with_verdict(record, evaluated(record.to_weigh), snapshot())

    assert (known.finding.credential, known.fingerprint) == (RIGHT, RESPELLED.fingerprint)


def test_token_is_expired_only_if_every_reading_is() -> None:
    over = tuple(sorted((dict(RIGHT.parameters) | {"se": "2020-01-01T00:00:00Z"}).items()))
    expired = replace(RIGHT, parameters=over)

    assert evaluated(finding(expired, RIGHT)).verdict.key_name == "key1"
    assert evaluated(finding(expired, replace(expired, path="b"))).verdict.reason is Reason.EXPIRED


def test_verified_reading_that_has_expired_is_no_leak() -> None:
    past = leak(samples.blob_sas(life=timedelta(hours=-1)))
    later = tuple(sorted((dict(past.parameters) | {"se": "2040-01-01T00:00:00Z"}).items()))

    assert evaluated(finding(replace(past, parameters=later), past)).verdict.reason is Reason.EXPIRED


# the record


def test_record_has_the_path_that_verified_and_it_is_final() -> None:
    record = Revocation.of(finding(WRONG, RIGHT), now=NOW)
    known = outcomes.with_verdict(record, evaluated(record.to_weigh), snapshot())

    assert (known.finding.credential, known.paths.verified) == (RIGHT, True)
    assert known.to_weigh.readings == (RIGHT,)


def test_record_marks_the_paths_that_did_not_verify() -> None:
    record = Revocation.of(finding(WRONG, LOST), now=NOW)
    known = outcomes.with_verdict(record, evaluated(record.to_weigh), snapshot())

    assert known.paths.known == (KnownPath(WRONG.path, tried=True), KnownPath(None, tried=True))


def test_record_of_an_order_has_no_paths() -> None:
    order = samples.ordered(ActionKind.ACCOUNT_KEY, "key1")
    record = Revocation.of(order, now=NOW)

    assert outcomes.with_verdict(record, evaluated(order), snapshot()).paths == record.paths


def test_batch_that_does_not_know_a_path_of_the_record_does_not_decide_on_it() -> None:
    policy = samples.settings(mode="auto").decision_policy(ACTION_SPECS)
    decider = Decider(policy=policy, retired=RetiredKeys(clock=lambda: NOW))
    own = Revocation.of(samples.finding(samples.connection_string()), now=NOW)
    batch = Batch(decider, snapshot(), own)
    known, unknown = (Revocation.of(finding(*readings), now=NOW) for readings in ((WRONG,), (WRONG, RIGHT)))
    one = evaluated(finding(WRONG))

    decided = batch.verdict(one, known, now=NOW)
    assert (decided and decided.reason, batch.verdict(one, unknown, now=NOW)) == (Reason.NO_KEY_MATCHES, None)


# another report


@pytest.mark.parametrize(
    "reason", [Reason.NO_KEY_MATCHES, Reason.PATH_LOST, Reason.BLOCKED, Reason.NOT_OURS, Reason.REJECTED]
)
def test_new_path_reopens_at_once_what_ended_without_verification(reason: Reason) -> None:
    anew = with_report(ended(reason, WRONG), finding(RIGHT), now=LATER)

    assert anew is not None
    assert (anew.state, set(anew.to_weigh.readings)) == (State.RECEIVED, {WRONG, RIGHT})


@pytest.mark.parametrize("reason", [Reason.EXPIRED, Reason.COVERED])
def test_new_path_does_not_reopen_what_is_certain(reason: Reason) -> None:
    anew = with_report(ended(reason, WRONG), finding(RIGHT), now=LATER)

    assert anew is not None
    assert anew.state is State.DISMISSED


def test_known_path_does_not_reopen_at_once() -> None:
    assert with_report(ended(Reason.NO_KEY_MATCHES, WRONG, RIGHT), finding(RIGHT), now=LATER) is None


def test_new_path_is_noted_while_the_record_is_being_decided() -> None:
    noted = with_report(Revocation.of(finding(WRONG), now=NOW), finding(RIGHT), now=LATER)

    assert noted is not None
    assert (len(noted.changes), noted.to_weigh.readings) == (1, (WRONG, RIGHT))


def test_path_is_only_seen_once_another_one_verified() -> None:
    verified = ended(Reason.BLOCKED, RIGHT).with_verified(RIGHT)

    assert with_report(verified, finding(WRONG), now=LATER) is None
    assert verified.unknown_paths(finding(WRONG)) == ()


def test_rejected_plan_of_a_verified_leak_stays_rejected() -> None:
    verified = ended(Reason.REJECTED, RIGHT).with_verified(RIGHT)

    assert with_report(verified, finding(WRONG), now=LATER) is None


def test_path_that_does_not_fit_is_unknown_still() -> None:
    full = Revocation.of(finding(*(replace(WRONG, path=f"wrong/{n}") for n in range(MOST))), now=NOW)

    assert with_report(full, finding(RIGHT), now=LATER) is None
    assert full.unknown_paths(finding(RIGHT)) == (RIGHT,)


def test_report_without_a_credential_has_no_paths() -> None:
    order = replace(samples.finding(), credential=None)
    record = Revocation.of(order, now=NOW)

    assert (order.readings, order.with_readings([RIGHT]), record.to_weigh) == ((), order, order)
    assert (record.with_readings(order), record.unknown_paths(order)) == (record, ())


# Azure's answer to a user delegation SAS

TOKEN = leak(samples.delegation_sas())
ELSEWHERE = replace(TOKEN, path="wrong/a")


def answer(alive: bool | None, one: Credential) -> Liveness:
    return Liveness(LATER, alive, "What Azure said.", one.path)


def waiting(liveness: Liveness | None = None, *, state: State = State.AWAITING_APPROVAL) -> Revocation:
    record = replace(Revocation.of(finding(ELSEWHERE), now=NOW), liveness=liveness, plan=samples.plan())
    return record if state is State.RECEIVED else record.reach(state, now=NOW, detail="")


@pytest.mark.parametrize("state", [State.AWAITING_APPROVAL, State.OBSERVED, State.UNRESOLVED])
def test_accepted_token_is_evaluated_again_with_the_path_at_which_it_was_accepted(state: State) -> None:
    anew = with_answer(waiting(answer(False, ELSEWHERE), state=state), TOKEN, answer(True, TOKEN), now=LATER)

    assert anew is not None
    assert (anew.state, anew.finding.credential, anew.paths.verified, anew.accepted) == (
        *(State.RECEIVED, TOKEN),
        *(True, True),
    )


def test_accepted_token_of_a_record_that_is_being_decided_goes_on_being_decided() -> None:
    anew = with_answer(waiting(state=State.RECEIVED), TOKEN, answer(True, TOKEN), now=LATER)

    assert anew is not None
    assert (anew.accepted, len(anew.changes)) == (True, 1)


def test_refusal_is_noted_and_changes_no_state() -> None:
    noted = with_answer(waiting(), TOKEN, answer(False, TOKEN), now=LATER)

    assert noted is not None
    assert (noted.state, noted.liveness) == (State.AWAITING_APPROVAL, answer(False, TOKEN))


@pytest.mark.parametrize(("path", "is_noted"), [(ELSEWHERE, False), (TOKEN, True)])
def test_refusal_at_another_path_does_not_replace_an_open_answer(path: Credential, is_noted: bool) -> None:
    noted = with_answer(waiting(answer(None, TOKEN)), path, answer(False, path), now=LATER)

    assert (noted is not None) is is_noted


@pytest.mark.parametrize(
    "record",
    [
        waiting(answer(True, TOKEN)),
        replace(waiting(state=State.CONTAINED), execution=samples.execution()),
        waiting().end(Reason.COVERED, now=NOW, detail=""),
        waiting().end(Reason.EXPIRED, now=NOW, detail=""),
        Revocation.of(finding(RIGHT), now=NOW),
        replace(Revocation.of(finding(TOKEN), now=NOW), finding=replace(finding(TOKEN), credential=None)),
    ],
    ids=["accepted", "revoked", "covered", "expired", "of a key", "no credential"],
)
def test_token_is_not_asked_about_where_the_answer_changes_nothing(record: Revocation) -> None:
    assert (may_be_asked(record), with_answer(record, TOKEN, answer(False, TOKEN), now=LATER)) == (False, None)
