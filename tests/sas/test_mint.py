"""The proof token: what the real clients would make, readable and verifiable by ourselves."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, quote, unquote

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import generate_table_sas
from azure.storage.queue import generate_queue_sas
from hypothesis import given
from hypothesis import strategies as st

from shared.sas import Service, Verification, mint_read_token, verify
from tests.sas.making import ACCOUNT, KEYS, NOW, only

RESOURCES = {
    Service.BLOB: "models/nothing.bin",
    Service.FILE: "share/dir/f",
    Service.QUEUE: "nothing",
    Service.TABLE: "Nix",
}


def minted(service: Service, resource: str, key: str = KEYS["key2"]) -> str:
    return mint_read_token(service=service, account=ACCOUNT, resource=resource, expires=NOW, key=key)


@pytest.mark.parametrize("service", RESOURCES)
def test_it_is_https_only_read_only_and_short(service: Service) -> None:
    fields = {name: values[0] for name, values in parse_qs(minted(service, RESOURCES[service])).items()}
    assert (fields["spr"], fields["sp"], fields["se"]) == ("https", "r", "2026-11-21T12:00:00Z")


@pytest.mark.parametrize("service", RESOURCES)
def test_it_verifies(service: Service) -> None:
    url = f"https://{ACCOUNT}.{service}.core.windows.net/{RESOURCES[service]}?{minted(service, RESOURCES[service])}"
    assert verify(only(url), account=ACCOUNT, keys=KEYS) == Verification("key2", None)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=40))
def test_any_blob_name_verifies(name: str) -> None:
    url = f"https://{ACCOUNT}.blob.core.windows.net/models/{quote(name)}?{minted(Service.BLOB, f'models/{name}')}"
    assert verify(only(url), account=ACCOUNT, keys=KEYS).key == "key2"


def test_a_table_token_is_signed_as_the_real_client_signs() -> None:
    theirs = generate_table_sas(
        AzureNamedKeyCredential(ACCOUNT, KEYS["key2"]), "Nix", permission="r", expiry=NOW, protocol="https"
    )
    assert unquote(minted(Service.TABLE, "Nix").partition("sig=")[2]) == unquote(theirs.partition("sig=")[2])


def test_a_queue_token_has_the_form_of_the_real_clients() -> None:
    theirs = generate_queue_sas(ACCOUNT, "nix", KEYS["key2"], permission="r", expiry=NOW, protocol="https")
    assert parse_qs(minted(Service.QUEUE, "nix")).keys() == parse_qs(theirs).keys()


def test_the_expiry_is_given_in_utc() -> None:
    local = datetime.fromisoformat("2026-11-21T14:00:00+02:00")
    token = mint_read_token(service=Service.QUEUE, account=ACCOUNT, resource="q", expires=local, key=KEYS["key1"])
    assert "se=2026-11-21T12%3A00%3A00Z" in token
    assert local.astimezone(UTC) == NOW


def test_several_services_are_refused() -> None:
    with pytest.raises(ValueError, match="one service"):
        minted(Service.MULTIPLE, "x")


def test_a_bad_key_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="base64") as refused:
        minted(Service.QUEUE, "q", "!secret!")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("resource", ["", "a\nb"])
def test_a_resource_that_nothing_can_have_is_refused(resource: str) -> None:
    with pytest.raises(ValueError, match="path"):
        minted(Service.QUEUE, resource)
