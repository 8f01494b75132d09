"""Which alerts prove to be about a record's leak, and why others do not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import pytest

from shared.domain.alert_match import Doubt, Revoked, SecretOfAlert, left_open
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.sas import Kind, extract
from tests.support import samples
from tests.support.alerts import revoked_leak
from tests.support.samples import KEYS, NOW

LEAK = samples.account_sas()
QUERY = LEAK.partition("?")[2]
OTHER = samples.account_sas(permissions="r")
CONNECTION = samples.connection_string()
KEY = next(value for value in KEYS.values() if value in CONNECTION)


def doubt(*texts: str | None, of: Revoked | None = None) -> Doubt | None:
    return (of or revoked_leak()).doubt_of_secrets([SecretOfAlert(text) for text in texts])


# Secrets


@pytest.mark.parametrize(
    "write",
    [
        lambda leak: leak,
        lambda leak: leak.partition("?")[2],
        lambda leak: f"?{leak.partition('?')[2]}",
        lambda leak: quote(leak, safe=""),
        lambda leak: leak.replace("%2B", "+").replace("%2F", "/").replace("%3D", "="),
        lambda leak: leak.replace("&", "&amp;"),
        lambda leak: f"azcopy copy '{leak}' .",
        lambda leak: leak.replace(".blob.", ".queue."),  # an account SAS opens each service
        lambda leak: f"{leak}\n{leak}",
    ],
    ids=["URL", "query", "?query", "encoded", "decoded", "HTML", "command", "another service", "twice"],
)
def test_alert_with_the_leak_in_any_spelling_is_about_it(write: Callable[[str], str]) -> None:
    assert doubt(write(LEAK)) is None


@pytest.mark.parametrize("text", [CONNECTION, KEY, f"AccountKey={KEY}"])
def test_alert_with_the_leaked_key_is_about_it(text: str) -> None:
    assert doubt(text, of=revoked_leak(CONNECTION)) is None


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((), Doubt.HIDDEN),
        ((None,), Doubt.HIDDEN),
        (("",), Doubt.HIDDEN),
        (("hello",), Doubt.UNREADABLE),
        (("x" * 70_000 + LEAK,), Doubt.UNREADABLE),
        ((OTHER,), Doubt.ANOTHER_LEAK),
        ((CONNECTION,), Doubt.ANOTHER_LEAK),
        ((f"{LEAK}\n{OTHER}",), Doubt.MORE_LEAKS),
        ((LEAK, OTHER), Doubt.MORE_LEAKS),
        ((OTHER, LEAK), Doubt.MORE_LEAKS),
        ((LEAK, None), Doubt.MORE_LEAKS),
        ((LEAK, "hello"), Doubt.MORE_LEAKS),
        ((LEAK.replace("robust", "other"),), Doubt.ANOTHER_ACCOUNT),
    ],
    ids=str,
)
def test_any_other_alert_is_in_doubt(texts: tuple[str | None, ...], expected: Doubt) -> None:
    assert doubt(*texts) is expected


def test_changed_signature_is_another_leak() -> None:
    signature = QUERY.partition("sig=")[2]
    turned = signature[1:2] + signature[:1] + signature[2:]
    changed = LEAK.replace(signature, turned)
    assert len(extract(changed)) == 1

    assert doubt(changed) is Doubt.ANOTHER_LEAK


def test_token_without_its_account_proves_nothing_about_an_account_that_only_the_report_names() -> None:
    """A user delegation SAS that Azure did not accept: its signature is not verified under any account."""
    unbound = revoked_leak(is_bound=False)

    assert doubt(QUERY, of=unbound) is Doubt.ANOTHER_ACCOUNT
    assert doubt(LEAK, of=unbound) is None


def test_record_without_a_secret_is_compared_with_none() -> None:
    assert doubt(LEAK, of=revoked_leak(credential=None)) is Doubt.NOTHING_TO_COMPARE


def test_correlating_id_stands_for_a_secret_that_is_not_shown() -> None:
    """vsts-rest-api-specs, advancedSecurity 7.2, ValidationFingerprint.c3Id."""
    ours, other = samples.leak(LEAK).c3id, samples.leak(OTHER).c3id
    secrets = {c3id: [SecretOfAlert(None, c3id=c3id)] for c3id in (ours, other)}

    assert revoked_leak().doubt_of_secrets(secrets[ours]) is None
    assert revoked_leak().doubt_of_secrets(secrets[other]) is Doubt.ANOTHER_LEAK
    assert revoked_leak(is_bound=False).doubt_of_secrets(secrets[ours]) is Doubt.ANOTHER_LEAK
    assert revoked_leak().doubt_of_secrets([SecretOfAlert(OTHER, c3id=ours)]) is Doubt.ANOTHER_LEAK


def test_half_a_character_in_what_a_service_says_is_another_leak() -> None:
    """JSON can hold one ("\\ud800"), and UTF-8 cannot."""
    assert revoked_leak().doubt_of_secrets([SecretOfAlert(None, c3id="\ud800")]) is Doubt.ANOTHER_LEAK
    assert doubt("\ud800") is Doubt.UNREADABLE


def test_secret_is_in_no_text_of_ours() -> None:
    assert QUERY.partition("sig=")[2] not in repr(SecretOfAlert(LEAK))
    assert "sig=" not in "".join(left_open(samples.ALERT, each).said for each in Doubt)


# Tokens that are not shown


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({"signature_sha256": None}, None),
        ({"account": "other"}, Doubt.ANOTHER_KEY),
        ({"key": "key1"}, Doubt.ANOTHER_KEY),
        ({"seen_at": NOW + timedelta(hours=1)}, Doubt.USED_LATER),
    ],
    ids=str,
)
def test_alert_about_a_token_is_held_against_account_key_and_time(
    changed: dict[str, object], expected: Doubt | None
) -> None:
    assert revoked_leak(credential=None).doubt_of_tokens([samples.evidence(**changed)]) is expected  # type: ignore[arg-type]


def test_alert_about_several_tokens_needs_each_of_them() -> None:
    assert revoked_leak().doubt_of_tokens([]) is Doubt.UNNAMED_KEY
    assert revoked_leak().doubt_of_tokens([samples.evidence(), samples.evidence(key="key1")]) is Doubt.ANOTHER_KEY


def test_key_that_did_not_end_the_leak_closes_no_alert_about_it() -> None:
    assert revoked_leak(key=None).doubt_of_tokens([samples.evidence()]) is Doubt.ANOTHER_KEY


def test_covered_leak_closes_only_the_alert_about_its_own_token() -> None:
    own = samples.leak(LEAK).signature_sha256
    covered = revoked_leak(needs_token=True)

    assert covered.doubt_of_tokens([samples.evidence(signature_sha256=own)]) is None
    assert covered.doubt_of_tokens([samples.evidence(signature_sha256=None)]) is Doubt.ANOTHER_KEY
    assert covered.doubt_of_tokens([samples.evidence(signature_sha256="cd" * 32)]) is Doubt.ANOTHER_KEY


# What a record proves


def revoked(finding: Finding | None = None, **changed: object) -> Revocation:
    made = samples.revocation(finding=finding or samples.finding(), account=samples.account(), **changed)
    return made.reach(State.PROVEN, now=NOW, detail="")


def test_regenerated_key_counts_from_its_regeneration() -> None:
    made = Revoked.of(revoked(execution=samples.execution(), key_name="key2"))

    assert (made.account, made.key, made.until) == (samples.ACCOUNT, "key2", samples.execution().at)
    assert (made.is_bound, made.needs_token) == (True, False)


def test_policy_that_was_revoked_is_no_key() -> None:
    execution = replace(samples.execution(), action=ActionKind.STORED_POLICY, target=str(samples.POLICY))

    assert Revoked.of(revoked(execution=execution, key_name="key2")).key is None


@pytest.mark.parametrize(("accepted", "is_bound"), [(True, True), (False, False), (None, False)])
def test_delegation_that_azure_accepted_is_known_to_be_of_its_account(accepted: bool | None, is_bound: bool) -> None:
    finding = samples.finding(samples.delegation_sas())
    assert finding.credential is not None
    assert finding.credential.kind is Kind.USER_DELEGATION_SAS

    assert Revoked.of(revoked(finding, liveness=samples.liveness(accepted))).is_bound is is_bound


def test_covered_evidence_counts_until_its_token_was_seen() -> None:
    record = samples.revocation(finding=samples.alerted(), account=samples.account())
    made = Revoked.of(record.end(Reason.COVERED, now=NOW + timedelta(hours=1), detail=""))

    assert (made.credential, made.key, made.until) == (None, "key2", NOW)
    assert made.doubt_of_tokens([samples.evidence()]) is None


def test_covered_leak_counts_until_it_was_attributed() -> None:
    record = samples.revocation(key_name="key2", attributed_at=NOW)
    made = Revoked.of(record.end(Reason.COVERED, now=NOW + timedelta(hours=1), detail=""))

    assert (made.key, made.until, made.needs_token) == ("key2", NOW, True)
