"""The documented way to a token, by the real Azure CLI against the local cloud."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest

from local.cloud.cloud import LocalCloud, running
from local.tenant.model import CONSOLE_CLIENT_ID
from tests.support.azure_cli import AzureCli
from tests.support.bicep import INFRA


@pytest.fixture(scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCloud]:
    async with running(folder=tmp_path_factory.mktemp("cloud"), hosts=1) as made:
        yield made


@pytest.fixture(scope="module")
async def signed_in(
    azure_cli_program: Path, cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    """The environment of a shell in which the approver has signed in."""
    cli = AzureCli(azure_cli_program, cloud, folder=tmp_path_factory.mktemp("az"))
    await cli.sign_in("approver")
    return cli.environment


def command(client_id: str) -> str:
    """The command that the deployment prints."""
    printed = (INFRA / "main.bicep").read_text()
    [text] = re.findall(r"az account get-access-token[^'\"]*", printed)
    return re.sub(r"\$\{\w+\}", client_id, text)


async def run(text: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Run a command in a shell; return what it printed to standard output and standard error."""
    process = await asyncio.create_subprocess_shell(
        text, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    return output.decode().strip(), errors.decode()


async def test_token_of_the_printed_command_opens_the_api(cloud: LocalCloud, signed_in: Mapping[str, str]) -> None:
    token, errors = await run(command(CONSOLE_CLIENT_ID), signed_in)
    assert token, errors
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = {"Authorization": f"Bearer {token}"}
        answer = await client.get(f"{cloud.environment['SASQUASH_API']}/revocations", headers=headers)

    assert answer.status_code == 200, answer.text


async def test_name_that_is_no_identifier_of_the_registration_gets_no_token(signed_in: Mapping[str, str]) -> None:
    token, errors = await run("az account get-access-token --resource api://sasquash", signed_in)

    assert token == ""
    assert "AADSTS500011" in errors
