import asyncio
import json
import sys
from pathlib import Path

import jwt
import pytest

from local.cloud import environment
from local.cloud.cloud import LocalCloud
from local.cloud.environment import IdentityEndpoint
from local.tenant import identities
from local.tenant.model import CONSOLE_CLIENT_ID, Cloud
from tests.support.cloud_clients import new_account


@pytest.fixture
def settings() -> dict[str, str]:
    cloud = Cloud(identities=identities.directory())
    return environment.app_settings(cloud, endpoint=IdentityEndpoint(port=1, secret="s"))


def test_file_is_for_its_owner_only(tmp_path: Path) -> None:
    environment.write(tmp_path / "env", {"A": "b"})
    assert (tmp_path / "env").stat().st_mode & 0o777 == 0o600


def test_file_replaces_an_older_one(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("old")
    (tmp_path / "env").chmod(0o644)
    environment.write(tmp_path / "env", {"A": "b"})
    assert (tmp_path / "env").read_text() == "export A=b\n"
    assert (tmp_path / "env").stat().st_mode & 0o777 == 0o600


async def test_values_are_quoted_for_the_shell(tmp_path: Path) -> None:
    value = 'it\'s "$HOME" `x` \\ ; & ü'
    environment.write(tmp_path / "env", {"A": value})
    assert await shell(f'. {tmp_path}/env; printf %s "$A"') == value


def test_client_variables_come_in_both_cases() -> None:
    variables = environment.client(proxy_port=1, authority_file=Path("/a.pem"))
    assert variables["HTTPS_PROXY"] == variables["https_proxy"] == "http://127.0.0.1:1"
    assert "127.0.0.1" in variables["NO_PROXY"]


def test_app_reaches_its_storage_by_identity(settings: dict[str, str]) -> None:
    for connection in ("SASQUASH_STORAGE", "AzureWebJobsStorage"):
        assert settings[f"{connection}__credential"] == "managedidentity"
        assert settings[f"{connection}__queueServiceUri"] == "https://sasquashstate.queue.core.windows.net/"
        assert settings[f"{connection}__clientId"] == settings["SASQUASH_CLIENT_ID"]


def test_separate_intake_has_no_setting_of_the_responder(settings: dict[str, str]) -> None:
    given = environment.of_intake(settings)

    assert {name for name in given if name.startswith("SASQUASH_")} == {
        *environment._APPS["intake"],
        "SASQUASH_STORAGE__credential",
        "SASQUASH_STORAGE__clientId",
    } & set(settings)
    assert "SASQUASH_GITHUB_CLOSING_PRIVATE_KEY" in settings
    assert given["AzureWebJobsStorage__accountName"] == settings["AzureWebJobsStorage__accountName"]


def test_app_has_no_setting_with_an_account_key(settings: dict[str, str]) -> None:
    assert not any("AccountKey" in value or "sig=" in value for value in settings.values())


@pytest.mark.parametrize(
    ("variable", "role"),
    [
        ("SASQUASH_TOKEN_READER", "Sasquash.Reader"),
        ("SASQUASH_TOKEN_RESPONDER", "Sasquash.Responder"),
        ("SASQUASH_TOKEN_APPROVER", "Sasquash.Approver"),
    ],
)
def test_people_have_tokens_with_their_role(cloud: LocalCloud, variable: str, role: str) -> None:
    claims = jwt.decode(cloud.environment[variable], options={"verify_signature": False})
    assert (claims["aud"], claims["roles"]) == (CONSOLE_CLIENT_ID, [role])
    assert claims["exp"] - claims["iat"] == 30 * 24 * 3600


async def test_sdk_and_curl_work_with_the_environment_alone(cloud: LocalCloud, tmp_path: Path) -> None:
    account = await new_account(cloud)
    environment.write(tmp_path / "env", cloud.environment)
    script = f"""
import asyncio
from azure.identity import ManagedIdentityCredential
from azure.identity.aio import ManagedIdentityCredential as AsyncCredential
from azure.mgmt.storage import StorageManagementClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

blob = BlobServiceClient("https://{account.name}.blob.core.windows.net", ManagedIdentityCredential())
blob.create_container("made")

async def queues():
    async with AsyncCredential() as credential:
        url = "https://{account.name}.queue.core.windows.net"
        async with QueueServiceClient(url, credential) as client:
            await client.create_queue("made")

asyncio.run(queues())
arm = StorageManagementClient(ManagedIdentityCredential(), "{account.id.split("/")[2]}")
print([found.name for found in arm.storage_accounts.list() if found.name == "{account.name}"])
"""
    (tmp_path / "script.py").write_text(script)
    assert await shell(f". {tmp_path}/env; {sys.executable} {tmp_path}/script.py") == f"['{account.name}']\n"
    discovery = "https://login.microsoftonline.com/contoso.com/.well-known/openid-configuration"
    assert "issuer" in json.loads(await shell(f". {tmp_path}/env; curl --silent {discovery}"))


async def shell(command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()
