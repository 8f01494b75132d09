from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.decision.effective_permissions import as_granted, of_record
from shared.domain.target import ActionKind
from tests.support import samples
from tests.support.samples import NOW, leak

HOUR = timedelta(hours=1)


def test_token_that_says_all_itself_is_as_it_stands() -> None:
    credential = leak(samples.blob_sas())

    assert as_granted(credential) == credential


def test_what_the_token_leaves_out_comes_from_its_policy() -> None:
    granted = as_granted(
        leak(samples.policy_sas()), samples.reading(permissions="rl", expires=NOW + HOUR + timedelta(microseconds=1))
    )

    assert (granted.permissions, granted.expires) == ("rl", NOW + HOUR + timedelta(microseconds=1))


def test_what_the_token_says_itself_does_not_come_from_its_policy() -> None:
    credential = leak(samples.policy_sas(permissions="r", life=HOUR))

    assert as_granted(credential, samples.reading(permissions="rwdl", expires=NOW + 99 * HOUR)) == credential


def test_what_neither_says_stays_unknown() -> None:
    granted = as_granted(leak(samples.policy_sas()), samples.reading())

    assert (granted.permissions, granted.expires) == (None, None)


@pytest.mark.parametrize("permissions", ["", "r w", "?"])
def test_rights_that_no_service_knows_stay_unknown(permissions: str) -> None:
    assert as_granted(leak(samples.policy_sas()), samples.reading(permissions=permissions)).permissions is None


def test_delegated_token_ends_with_its_key() -> None:
    granted = as_granted(leak(samples.delegation_sas(life=300 * HOUR, expiry="2026-11-21T12:00:00Z")))

    assert granted.expires == NOW + 2 * HOUR


def test_delegated_token_without_a_readable_end_has_none() -> None:
    credential = leak(samples.delegation_sas(expiry="soon"))
    endless = replace(credential, parameters=tuple((n, "soon" if n == "se" else v) for n, v in credential.parameters))

    assert as_granted(endless).expires is None


def test_record_shows_what_its_policy_granted() -> None:
    policy = samples.reading(permissions="rl")
    record = samples.revocation(finding=samples.finding(samples.policy_sas()), policy=policy)

    granted = of_record(record)

    assert granted is not None
    assert granted.permissions == "rl"


def test_record_without_a_credential_grants_nothing() -> None:
    assert of_record(samples.revocation(finding=samples.ordered(ActionKind.ACCOUNT_KEY, "key1"))) is None
