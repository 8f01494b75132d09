"""Verification tokens: equal to those of the real clients, and verifiable."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote, unquote

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import generate_table_sas
from azure.storage.blob import UserDelegationKey, generate_blob_sas
from azure.storage.queue import generate_queue_sas
from hypothesis import given
from hypothesis import strategies as st

from shared.sas import (
    DelegationKey,
    InvalidCredential,
    Kind,
    Service,
    Undecidable,
    Verification,
    mint_delegation_token,
    mint_read_token,
    verify,
)
from tests.support.strings_to_sign import ACCOUNT, KEYS, NOW, only, signature

STARTS = NOW - timedelta(minutes=35)
RESOURCES = {
    Service.BLOB: "models/nothing.bin",
    Service.FILE: "share/dir/f",
    Service.QUEUE: "nothing",
    Service.TABLE: "Nix",
}


def minted(service: Service, resource: str, key: str = KEYS["key2"]) -> str:
    return mint_read_token(service=service, account=ACCOUNT, resource=resource, starts=STARTS, expires=NOW, key=key)


@pytest.mark.parametrize("service", RESOURCES)
def test_minted_token_is_https_only_read_only_and_short_lived(service: Service) -> None:
    fields = {name: values[0] for name, values in parse_qs(minted(service, RESOURCES[service])).items()}
    assert (fields["spr"], fields["sp"]) == ("https", "r")
    assert (fields["st"], fields["se"]) == ("2026-11-21T11:25:00Z", "2026-11-21T12:00:00Z")


@pytest.mark.parametrize("service", RESOURCES)
def test_minted_token_verifies(service: Service) -> None:
    url = f"https://{ACCOUNT}.{service}.core.windows.net/{RESOURCES[service]}?{minted(service, RESOURCES[service])}"
    assert verify(only(url), account=ACCOUNT, keys=KEYS) == Verification("key2", None)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=40))
def test_any_blob_name_verifies(name: str) -> None:
    url = f"https://{ACCOUNT}.blob.core.windows.net/models/{quote(name)}?{minted(Service.BLOB, f'models/{name}')}"
    assert verify(only(url), account=ACCOUNT, keys=KEYS).key == "key2"


def test_table_token_is_signed_as_the_real_client_signs() -> None:
    theirs = generate_table_sas(
        AzureNamedKeyCredential(ACCOUNT, KEYS["key2"]),
        "Nix",
        permission="r",
        start=STARTS,
        expiry=NOW,
        protocol="https",
    )
    assert unquote(minted(Service.TABLE, "Nix").partition("sig=")[2]) == unquote(theirs.partition("sig=")[2])


def test_queue_token_has_the_form_of_the_real_clients() -> None:
    theirs = generate_queue_sas(
        ACCOUNT, "nix", KEYS["key2"], permission="r", start=STARTS, expiry=NOW, protocol="https"
    )
    assert parse_qs(minted(Service.QUEUE, "nix")).keys() == parse_qs(theirs).keys()


def test_period_is_given_in_utc() -> None:
    local = datetime.fromisoformat("2026-11-21T14:00:00+02:00")
    token = mint_read_token(
        service=Service.QUEUE,
        account=ACCOUNT,
        resource="q",
        starts=local - timedelta(hours=1),
        expires=local,
        key=KEYS["key1"],
    )
    assert "st=2026-11-21T11%3A00%3A00Z" in token
    assert "se=2026-11-21T12%3A00%3A00Z" in token
    assert local.astimezone(UTC) == NOW


def test_several_services_are_refused() -> None:
    with pytest.raises(ValueError, match="one service"):
        minted(Service.MULTIPLE, "x")


def test_bad_key_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="base64") as refused:
        minted(Service.QUEUE, "q", "!secret!")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("resource", ["", "a\nb"])
def test_resource_that_nothing_can_have_is_refused(resource: str) -> None:
    with pytest.raises(ValueError, match="path"):
        minted(Service.QUEUE, resource)


# Stored access policies: what the policy says, the token must not say again


@pytest.mark.parametrize("service", RESOURCES)
def test_token_of_a_policy_says_only_what_the_policy_leaves_out(service: Service) -> None:
    token = mint_read_token(
        service=service,
        account=ACCOUNT,
        resource=RESOURCES[service],
        starts=None,
        expires=None,
        key=KEYS["key1"],
        policy="partners",
        permissions=None,
    )
    assert not {"st", "se", "sp"} & parse_qs(token).keys()
    found = only(f"https://{ACCOUNT}.{service}.core.windows.net/{RESOURCES[service]}?{token}")
    assert (found.kind, found.policy) == (Kind.POLICY_SAS, "partners")
    assert verify(found, account=ACCOUNT, keys=KEYS).key == "key1"


def test_token_of_a_policy_may_have_an_expiry_and_permissions_of_its_own() -> None:
    token = mint_read_token(
        service=Service.TABLE,
        account=ACCOUNT,
        resource="Nix",
        starts=None,
        expires=NOW,
        key=KEYS["key1"],
        policy="p",
        permissions="ra",
    )
    found = only(f"https://{ACCOUNT}.table.core.windows.net/Nix?{token}")
    assert (found.permissions, found.expires, found.policy) == ("ra", NOW, "p")


@pytest.mark.parametrize(
    ("starts", "expires", "permissions"), [(None, NOW, "r"), (STARTS, None, "r"), (STARTS, NOW, None)]
)
def test_token_without_a_policy_needs_a_period_and_permissions(
    starts: datetime | None, expires: datetime | None, permissions: str | None
) -> None:
    with pytest.raises(ValueError, match="needs a period and permissions"):
        mint_read_token(
            service=Service.BLOB,
            account=ACCOUNT,
            resource="c12/b",
            starts=starts,
            expires=expires,
            key=KEYS["key1"],
            permissions=permissions,
        )


# User delegation

DELEGATION_KEY = DelegationKey(
    object_id="aaaaaaaa-0000-4000-8000-000000000001",
    tenant_id="bbbbbbbb-0000-4000-8000-000000000002",
    start="2026-11-21T11:00:00Z",
    expiry="2026-11-22T11:00:00Z",
    service="b",
    version="2026-10-06",
    value=KEYS["key1"][:43] + "=",
)


def delegated(resource: str = "models/nothing.bin", key: DelegationKey = DELEGATION_KEY) -> str:
    return mint_delegation_token(account=ACCOUNT, resource=resource, starts=STARTS, expires=NOW, key=key)


def test_delegation_token_is_signed_as_version_2020_12_06_is() -> None:
    fields = {name: values[0] for name, values in parse_qs(delegated()).items()}
    text = "\n".join(
        (
            *("r", "2026-11-21T11:25:00Z", "2026-11-21T12:00:00Z", f"/blob/{ACCOUNT}/models/nothing.bin"),
            *("aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"),
            *("2026-11-21T11:00:00Z", "2026-11-22T11:00:00Z", "b", "2026-10-06", "", "", ""),
            *("", "https", "2020-12-06", "b", "", "", "", "", "", "", ""),
        )
    )
    assert fields["sig"] == signature(text, DELEGATION_KEY.value)


def test_delegation_token_has_the_form_of_the_real_clients() -> None:
    theirs = UserDelegationKey()
    theirs.signed_oid, theirs.signed_tid = DELEGATION_KEY.object_id, DELEGATION_KEY.tenant_id
    theirs.signed_start, theirs.signed_expiry = DELEGATION_KEY.start, DELEGATION_KEY.expiry
    theirs.signed_service, theirs.signed_version = DELEGATION_KEY.service, DELEGATION_KEY.version
    theirs.value = DELEGATION_KEY.value
    token = generate_blob_sas(
        ACCOUNT,
        "models",
        "nothing.bin",
        user_delegation_key=theirs,
        permission="r",
        start=STARTS,
        expiry=NOW,
        protocol="https",
    )
    changing = ("sv", "sig")
    expected = {name: value for name, value in parse_qs(token).items() if name not in changing}
    assert {name: value for name, value in parse_qs(delegated()).items() if name not in changing} == expected


def test_delegation_token_is_recognized_as_one() -> None:
    found = only(f"https://{ACCOUNT}.blob.core.windows.net/models/nothing.bin?{delegated()}")
    assert found.kind is Kind.USER_DELEGATION_SAS
    assert verify(found, account=ACCOUNT, keys=KEYS).undecidable is Undecidable.DELEGATION


def test_delegation_key_does_not_show_its_value() -> None:
    assert DELEGATION_KEY.value not in repr(DELEGATION_KEY)


def test_delegation_key_that_would_break_the_signed_lines_is_refused() -> None:
    with pytest.raises(InvalidCredential, match="parameters"):
        delegated(key=replace(DELEGATION_KEY, object_id="a\nb"))
