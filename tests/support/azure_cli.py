"""Runs commands of the Azure CLI against a running local cloud, as a person pastes them into a shell."""

import asyncio
import os
import re
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from local.child_processes import plain_environment
from local.cloud.cloud import LocalCloud
from local.tenant.model import TENANT_DOMAIN
from shared.domain.text import Code
from tests.support.cloud_clients import browser
from tests.support.paths import ROOT


class CliError(Exception):
    """A command failed; the message is what it printed."""


@dataclass(frozen=True)
class AzureCli:
    """The program `az`. Its profile is in `folder`, apart from the one of the person who runs the tests."""

    program: Path
    cloud: LocalCloud
    _: KW_ONLY
    folder: Path

    async def run(self, command: str | Code) -> str:
        """Run a command line in a shell; return its standard output. Raises CliError."""
        process = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            str(command),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await process.communicate()
        if process.returncode != 0:
            raise CliError(f"{command}\n{error.decode()}")
        return out.decode().strip()

    async def script(self, command: str, **variables: str) -> tuple[int, str]:
        """Run a script of the checkout; return its exit code and all that it printed."""
        process = await asyncio.create_subprocess_exec(
            *command.split(),
            cwd=ROOT,
            env=self.environment | variables,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode()

    async def sign_in(self, person: str) -> None:
        """Sign a person in by `az login --use-device-code`; `person` is the name of an identity."""
        process = await asyncio.create_subprocess_exec(
            *("az", "login", "--use-device-code", "--tenant", TENANT_DOMAIN, "--allow-no-subscriptions"),
            *("--output", "none"),
            # With "off" there is no choice of a subscription; with errors alone the code is not shown.
            env=self.environment | {"AZURE_CORE_LOGIN_EXPERIENCE_V2": "off", "AZURE_CORE_ONLY_SHOW_ERRORS": "no"},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        said = ""
        while not (found := re.search(r"open the page (\S+) and enter the code (\w+)", said)):
            line = (await process.stderr.readline()).decode()
            assert line, f"az ended: {said}"
            said += line
        async with browser(self.cloud) as client:
            answer = await client.get(found[1], params={"user_code": found[2], "pick": person})
            assert answer.status_code == 200, answer.text
        rest = (await process.stderr.read()).decode()
        assert await process.wait() == 0, said + rest

    @property
    def environment(self) -> dict[str, str]:
        """The variables of its shell."""
        variables = plain_environment() | dict(self.cloud.environment)
        return variables | {
            "PATH": f"{self.program.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "AZURE_CONFIG_DIR": str(self.folder),
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
            "AZURE_CORE_ONLY_SHOW_ERRORS": "yes",
        }
