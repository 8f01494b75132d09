"""The stand-in for Key Vault, with azure-keyvault-secrets, raw requests and the control port."""

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.keyvault.secrets.aio import SecretClient
from cryptography.hazmat.primitives.asymmetric import rsa

from local.cloud import control
from local.cloud.provisioning import start_over, state_account
from local.entra.service import Entra
from local.key_vault import service
from local.network.faults import Faults
from local.reporters.reports import Posted
from local.storage.service import Gate
from local.tenant import identities
from local.tenant.model import KEY_VAULT, STATE_ACCOUNT, Cloud
from local.tenant.model.vault import SecretVersion, Vault
from tests.support.asgi import Credential, Transport, client

HOST = f"{KEY_VAULT}.vault.azure.net"
URL = f"https://{HOST}"
NAME = "storage-key"
VERSION = "api-version=7.5"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(identities=identities.directory())


@pytest.fixture
def vault(cloud: Cloud) -> Vault:
    return cloud.vaults[KEY_VAULT]


@pytest.fixture
def entra(cloud: Cloud, key: rsa.RSAPrivateKey) -> Entra:
    return Entra(cloud, key=key)


@pytest.fixture
async def sdk(cloud: Cloud, entra: Entra) -> AsyncIterator[SecretClient]:
    async with as_identity(cloud, entra, "responder") as opened:
        yield opened


@pytest.fixture
def raw(cloud: Cloud, entra: Entra) -> httpx.AsyncClient:
    token = entra.mint(cloud.identities["responder"], audience="https://vault.azure.net")
    return client(service.app(cloud, entra), HOST, token=token)


def as_identity(cloud: Cloud, entra: Entra, name: str, *, url: str = URL) -> SecretClient:
    transport = Transport(service.app(cloud, entra))
    return SecretClient(url, Credential(entra, cloud.identities[name]), transport=transport, retry_total=0)


def put(vault: Vault, **changed: Any) -> SecretVersion:
    """Add a version of NAME as the current one."""
    version = SecretVersion(**{"value": "v", **changed})
    vault.add(NAME, version)
    return version


def error(response: httpx.Response) -> tuple[int, str, str | None]:
    said = response.json()["error"]
    return response.status_code, said["code"], said.get("innererror", {}).get("code")


# Valid requests


async def test_sdk_reads_what_it_set_with_all_its_properties(sdk: SecretClient) -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
    made = await sdk.set_secret(
        NAME, "value", content_type="text/plain", tags={"a": "b"}, not_before=start, expires_on=end
    )
    found = await sdk.get_secret(NAME)
    assert (found.value, found.properties.version) == ("value", made.properties.version)
    properties = found.properties
    assert (properties.content_type, properties.tags, properties.enabled) == ("text/plain", {"a": "b"}, True)
    assert (properties.not_before, properties.expires_on) == (start, end)


async def test_name_without_a_version_is_the_newest(sdk: SecretClient) -> None:
    first = await sdk.set_secret(NAME, "first")
    await sdk.set_secret(NAME, "second")
    assert (await sdk.get_secret(NAME)).value == "second"
    assert (await sdk.get_secret(NAME, first.properties.version)).value == "first"


async def test_names_are_compared_without_regard_to_case(sdk: SecretClient) -> None:
    await sdk.set_secret(NAME, "value")
    assert (await sdk.get_secret(NAME.upper())).value == "value"


async def test_update_changes_what_it_names_and_nothing_else(sdk: SecretClient, vault: Vault) -> None:
    version = put(vault, content_type="text/plain", tags={"a": "b"})
    await sdk.update_secret_properties(NAME, version.version, enabled=False)
    assert (version.enabled, version.value, version.content_type, version.tags) == (
        False,
        "v",
        "text/plain",
        {"a": "b"},
    )


async def test_versions_are_listed_by_their_ids_page_by_page_and_without_values(
    sdk: SecretClient, vault: Vault
) -> None:
    made = [put(vault, enabled=bool(number % 2)) for number in range(60)]
    listed = [each async for each in sdk.list_properties_of_secret_versions(NAME)]
    assert [each.version for each in listed] == sorted(each.version for each in made)
    assert {each.version: each.enabled for each in listed} == {each.version: each.enabled for each in made}


async def test_page_has_at_most_25_versions(raw: httpx.AsyncClient, vault: Vault) -> None:
    for _ in range(26):
        put(vault)
    body = (await raw.get(f"/secrets/{NAME}/versions?{VERSION}")).json()
    assert len(body["value"]) == 25
    assert not any("value" in item for item in body["value"])
    assert body["nextLink"].startswith(f"https://{HOST}:443/secrets/{NAME}/versions?")


async def test_secret_that_expired_can_be_read(sdk: SecretClient, vault: Vault) -> None:
    put(vault, expires=datetime.now(UTC) - timedelta(days=1))
    assert (await sdk.get_secret(NAME)).value == "v"


# Refused requests


async def test_disabled_version_is_not_read(sdk: SecretClient, vault: Vault) -> None:
    put(vault)
    put(vault, enabled=False)
    with pytest.raises(HttpResponseError, match="not allowed on a disabled secret") as refused:
        await sdk.get_secret(NAME)
    assert refused.value.status_code == 403
    assert refused.value.model is not None
    assert refused.value.model.error.inner_error.code == "SecretDisabled"


async def test_missing_secret_or_version_is_not_found(sdk: SecretClient, vault: Vault) -> None:
    with pytest.raises(ResourceNotFoundError):
        await sdk.get_secret(NAME)
    put(vault)
    with pytest.raises(ResourceNotFoundError):
        await sdk.get_secret(NAME, "0" * 32)


async def test_deleted_secret_is_not_found_and_keeps_its_name(sdk: SecretClient, vault: Vault) -> None:
    put(vault)
    vault.secrets[NAME].deleted = True
    with pytest.raises(ResourceNotFoundError, match="recently deleted"):
        await sdk.get_secret(NAME)
    with pytest.raises(ResourceExistsError, match="deleted but recoverable"):
        await sdk.set_secret(NAME, "value")
    assert [each async for each in sdk.list_properties_of_secret_versions(NAME)] == []


async def test_secret_of_a_certificate_cannot_be_set(sdk: SecretClient, vault: Vault) -> None:
    put(vault, managed=True)
    with pytest.raises(HttpResponseError):
        await sdk.set_secret(NAME, "value")
    assert (await sdk.get_secret(NAME)).properties.managed is True


async def test_request_without_a_token_is_challenged(cloud: Cloud, entra: Entra) -> None:
    answer = await client(service.app(cloud, entra), HOST).get(f"/secrets/{NAME}?{VERSION}")
    assert error(answer) == (401, "Unauthorized", None)
    assert answer.headers["www-authenticate"] == (
        'Bearer authorization="https://login.microsoftonline.com/7e1d5f0a-6c1b-4f0e-9d51-0a6d1c3e9b11", '
        'resource="https://vault.azure.net"'
    )


async def test_token_for_another_service_is_challenged(cloud: Cloud, entra: Entra) -> None:
    token = entra.mint(cloud.identities["responder"], audience="https://management.azure.com")
    answer = await client(service.app(cloud, entra), HOST, token=token).get(f"/secrets/{NAME}?{VERSION}")
    assert error(answer) == (401, "Unauthorized", None)
    assert "www-authenticate" in answer.headers


@pytest.mark.parametrize("vault_name", [KEY_VAULT, "other-vault"])
async def test_role_applies_only_to_its_vault(cloud: Cloud, entra: Entra, vault_name: str) -> None:
    cloud.vaults["other-vault"] = Vault("other-vault")
    put(cloud.vaults[vault_name])
    async with as_identity(cloud, entra, "responder", url=f"https://{vault_name}.vault.azure.net") as sdk:
        if vault_name == KEY_VAULT:
            assert (await sdk.get_secret(NAME)).value == "v"
        else:
            with pytest.raises(HttpResponseError, match="Caller is not authorized"):
                await sdk.get_secret(NAME)


async def test_refusal_names_the_action_without_the_role(cloud: Cloud, entra: Entra) -> None:
    token = entra.mint(cloud.identities["reader"], audience="https://vault.azure.net")
    answer = await client(service.app(cloud, entra), HOST, token=token).get(f"/secrets/{NAME}?{VERSION}")
    assert error(answer) == (403, "Forbidden", "ForbiddenByRbac")
    assert "Microsoft.KeyVault/vaults/secrets/getSecret/action" in answer.json()["error"]["message"]


async def test_closed_vault_refuses_every_request(raw: httpx.AsyncClient, vault: Vault) -> None:
    vault.closed = True
    assert error(await raw.get(f"/secrets/{NAME}?{VERSION}")) == (403, "Forbidden", "ForbiddenByFirewall")


async def test_vault_that_does_not_exist_is_not_reached(cloud: Cloud, entra: Entra) -> None:
    answer = await client(service.app(cloud, entra), "no-vault.vault.azure.net").get(f"/secrets/{NAME}?{VERSION}")
    assert error(answer) == (502, "UnknownHost", None)


@pytest.mark.parametrize(
    ("query", "words"),
    [("", "must be specified"), ("api-version=1.0", "not recognized"), (f"{VERSION}&x=1", "query parameter x")],
)
async def test_query_is_checked(raw: httpx.AsyncClient, query: str, words: str) -> None:
    answer = await raw.get(f"/secrets/{NAME}?{query}")
    assert error(answer) == (400, "BadParameter", None)
    assert words in answer.json()["error"]["message"]


@pytest.mark.parametrize("most", ["0", "26", "x", "-1"])
async def test_size_of_a_page_is_checked(raw: httpx.AsyncClient, most: str) -> None:
    assert error(await raw.get(f"/secrets/{NAME}/versions?{VERSION}&maxresults={most}"))[0] == 400


@pytest.mark.parametrize("name", ["a_b", "a.b", "a" * 128, "a%20b"])
async def test_name_is_checked(raw: httpx.AsyncClient, name: str) -> None:
    answer = await raw.put(f"/secrets/{name}?{VERSION}", json={"value": "v"})
    assert error(answer) == (400, "BadParameter", None)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"value": None},
        {"value": 7},
        {"value": "x" * (25 * 1024 + 1)},
        {"value": "v", "extra": 1},
        {"value": "v", "contentType": "x" * 256},
        {"value": "v", "tags": {str(number): "" for number in range(16)}},
        {"value": "v", "tags": {"a": 1}},
        {"value": "v", "attributes": {"enabled": "yes"}},
        {"value": "v", "attributes": {"exp": "2026"}},
        {"value": "v", "attributes": {"exp": 10, "nbf": 20}},
        {"value": "v", "attributes": {"created": 1}},
    ],
)
async def test_malformed_body_makes_no_version(raw: httpx.AsyncClient, vault: Vault, body: Any) -> None:
    assert error(await raw.put(f"/secrets/{NAME}?{VERSION}", json=body)) == (400, "BadParameter", None)
    assert vault.secrets == {}


async def test_update_accepts_no_value(raw: httpx.AsyncClient, vault: Vault) -> None:
    version = put(vault)
    answer = await raw.patch(f"/secrets/{NAME}/{version.version}?{VERSION}", json={"value": "other"})
    assert (answer.status_code, version.value) == (400, "v")


async def test_unknown_operation_is_not_found(raw: httpx.AsyncClient) -> None:
    assert error(await raw.get(f"/keys/{NAME}?{VERSION}"))[0] == 404


class NoStorage:
    """An empty storage backend."""

    async def empty_tables_and_queues(self, account: str) -> None:
        """Nothing to empty."""

    async def empty_container(self, account: str, container: str) -> None:
        """Nothing to empty."""


async def test_starting_over_empties_the_vault_and_keeps_it(cloud: Cloud, vault: Vault) -> None:
    put(vault)
    cloud.accounts[STATE_ACCOUNT] = state_account()
    await start_over(cloud, faults=Faults(), backend=NoStorage(), gate=Gate())
    assert cloud.vaults == {KEY_VAULT: Vault(KEY_VAULT)}


# The control port


@pytest.fixture
async def port(cloud: Cloud) -> AsyncIterator[httpx.AsyncClient]:
    async def reset() -> None:
        raise NotImplementedError

    def report(source: str, text: str) -> Posted:
        raise NotImplementedError

    app = control.app(cloud, Faults(), reset=reset, stopped_parts=lambda: (), report=report)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://control") as opened:
        yield opened


async def test_secret_is_created_through_the_control_port(port: httpx.AsyncClient, vault: Vault) -> None:
    answer = await port.post("/secrets", json={"name": NAME, "value": "v", "contentType": "text/plain"})
    [version] = vault.secrets[NAME].versions
    assert answer.status_code == 201
    assert answer.json() == {"id": f"{URL}/secrets/{NAME}", "version": version.version}
    assert (version.value, version.content_type) == ("v", "text/plain")


@pytest.mark.parametrize(
    "body", [{}, {"name": "a_b", "value": "v"}, {"name": NAME}, {"vault": "no-vault", "name": NAME, "value": "v"}]
)
async def test_malformed_secret_is_refused(port: httpx.AsyncClient, vault: Vault, body: Any) -> None:
    answer = await port.post("/secrets", content=json.dumps(body))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadRequest")
    assert vault.secrets == {}


async def test_state_shows_versions_in_their_order_and_no_value(port: httpx.AsyncClient, vault: Vault) -> None:
    first, second = put(vault, value="secret-one", enabled=False), put(vault, value="secret-two")
    answer = await port.get("/state")
    shown = answer.json()["vaults"][KEY_VAULT][NAME]
    assert [(each["version"], each["enabled"]) for each in shown] == [(first.version, False), (second.version, True)]
    assert [each["sha256"] for each in shown] == [
        hashlib.sha256(value).hexdigest() for value in (b"secret-one", b"secret-two")
    ]
    assert "secret-one" not in answer.text
    assert "secret-two" not in answer.text
