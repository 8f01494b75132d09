"""The SAS expiration policy of an account in the data plane.

Source: "Configure an expiration policy for shared access signatures" (MicrosoftDocs/azure-docs, 2025-07-30).
"""

from datetime import timedelta
from typing import Any

import pytest

from local.storage.errors import Refusal
from local.storage.sas import expiration_policy
from local.storage.sas.expiration_policy import period_of
from local.tenant.model import Account, new_storage_key, now
from tests.support.sas_requests import token_of

KEY = {"skoid": "o", "sktid": "t", "skt": "2026-01-01", "ske": "2026-02-01", "sks": "b", "skv": "2022-11-02"}
BLOB = {"sv": "2022-11-02", "sr": "b", "sp": "r", "st": "2026-01-01T00:00:00Z", "se": "2026-01-01T01:00:00Z"}
ACCOUNT_SAS = {"ss": "b", "srt": "o", "sv": "2022-11-02", "sp": "r", "se": "2026-01-01T01:00:00Z"}
HOUR = "0.01:00:00"


def account(period: str = HOUR, action: str = "Block", **binding: Any) -> Account:
    made = Account("models", "tests", keys={"key1": new_storage_key(), "key2": new_storage_key()})
    policy = {"sasExpirationPeriod": period, "expirationAction": action, **binding}
    made.set_sas_policy(policy, enforced_from=now())
    return made


def detail_of(fields: dict[str, str], policy: Account, endpoint: str = "blob") -> str:
    """Return why storage refuses the token by the policy, or an empty text."""
    query = "&".join(f"{name}={value}" for name, value in (fields | {"sig": "x"}).items())
    try:
        expiration_policy.check(token_of("data/a", query), policy, endpoint)
    except Refusal as refusal:
        return refusal.detail if refusal.code == "AuthenticationFailed" else refusal.code
    return ""


def without(fields: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name not in names}


@pytest.mark.parametrize("fields", [without(BLOB, "st"), without(BLOB, "st") | KEY, ACCOUNT_SAS])
def test_sas_without_a_start_is_blocked(fields: dict[str, str]) -> None:
    assert detail_of(fields, account()) == "Policy violated by no signed start."  # AzureStorageExplorer#8845


@pytest.mark.parametrize("fields", [BLOB, BLOB | KEY, ACCOUNT_SAS | {"st": "2026-01-01T00:00:00Z"}])
@pytest.mark.parametrize(("period", "blocked"), [("0.00:59:59", True), ("0.01:00:00", False)])
def test_interval_is_from_start_to_expiry(fields: dict[str, str], period: str, blocked: bool) -> None:
    assert detail_of(fields, account(period)).startswith("Policy violated") is blocked


def test_log_blocks_nothing() -> None:
    assert detail_of(without(BLOB, "st"), account(action="Log")) == ""


def test_service_sas_with_a_stored_access_policy_is_not_blocked() -> None:
    assert detail_of({"sv": "2022-11-02", "sr": "c", "si": "partners"}, account()) == ""


def test_user_delegation_sas_is_not_blocked_at_the_hdfs_endpoint() -> None:
    assert detail_of(without(BLOB, "st") | KEY, account(), "dfs") == ""
    assert detail_of(without(BLOB, "st"), account(), "dfs")


@pytest.mark.parametrize(("action", "blocked"), [("Block", True), ("Log", False), ("None", False)])
def test_user_delegation_sas_must_be_bound_to_a_user_where_the_policy_blocks(action: str, blocked: bool) -> None:
    policy = account(
        action="Log", requireUserBoundUserDelegationSas=True, requireUserBoundUserDelegationSasAction=action
    )
    assert bool(detail_of(BLOB | KEY, policy)) is blocked
    assert detail_of(BLOB | KEY | {"sduoid": "u"}, policy) == ""
    assert detail_of(BLOB, policy) == ""


def test_policy_is_enforced_later_than_arm_shows_it() -> None:
    policy = Account("models", "tests")
    policy.set_sas_policy(
        {"sasExpirationPeriod": HOUR, "expirationAction": "Block"}, enforced_from=now() + timedelta(hours=1)
    )
    assert detail_of(without(BLOB, "st"), policy) == ""
    assert policy.properties["sasPolicy"]["expirationAction"] == "Block"


def test_policy_that_was_changed_is_enforced_until_the_change_is() -> None:
    policy = account()
    policy.set_sas_policy(
        {"sasExpirationPeriod": HOUR, "expirationAction": "Log"}, enforced_from=now() + timedelta(hours=1)
    )
    assert detail_of(without(BLOB, "st"), policy)


def test_account_without_a_policy_blocks_nothing() -> None:
    assert detail_of(without(BLOB, "st"), Account("models", "tests")) == ""


def test_period_has_days_hours_minutes_and_seconds() -> None:
    assert period_of("1.12:05:06") == timedelta(days=1, hours=12, minutes=5, seconds=6)


@pytest.mark.parametrize("text", ["", "1", "12:05:06", "1.24:00:00", "1.00:60:00", "1.0:0:0", "-1.00:00:00", "P1D"])
def test_other_periods_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"DD\.HH:MM:SS"):
        period_of(text)
