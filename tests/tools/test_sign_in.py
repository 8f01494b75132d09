"""The documented way to a token, by the real Azure CLI against the local cloud."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest

from local.cloud.cloud import LocalCloud, running
from local.tenant.model import CONSOLE_CLIENT_ID, TENANT_DOMAIN
from tests.support.bicep import INFRA
from tests.support.cloud_clients import browser


@pytest.fixture(scope="module")
def az() -> str:
    path = shutil.which("az")
    if path is None:
        pytest.skip("az (the Azure CLI) is not on the PATH")
    return path


@pytest.fixture(scope="module")
async def cloud(az: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCloud]:
    async with running(folder=tmp_path_factory.mktemp("cloud"), hosts=1) as made:
        yield made


@pytest.fixture(scope="module")
async def signed_in(az: str, cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of a shell in which the approver has signed in by `az login --allow-no-subscriptions`."""
    folder = tmp_path_factory.mktemp("az")
    variables = {name: value for name, value in cloud.environment.items() if not name.startswith("IDENTITY_")}
    environment = os.environ | variables | {"AZURE_CONFIG_DIR": str(folder), "AZURE_CORE_COLLECT_TELEMETRY": "no"}
    environment["AZURE_CORE_LOGIN_EXPERIENCE_V2"] = "off"  # no choice of a subscription
    process = await asyncio.create_subprocess_exec(
        az,
        "login",
        "--use-device-code",
        "--tenant",
        TENANT_DOMAIN,
        "--allow-no-subscriptions",
        "--output",
        "none",
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    said = ""
    while not (found := re.search(r"open the page (\S+) and enter the code (\w+)", said)):
        line = (await process.stderr.readline()).decode()
        assert line, f"az ended: {said}"
        said += line
    async with browser(cloud) as client:
        answer = await client.get(found[1], params={"user_code": found[2], "pick": "approver"})
        assert answer.status_code == 200, answer.text
    rest = (await process.stderr.read()).decode()
    assert await process.wait() == 0, said + rest
    return environment


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
