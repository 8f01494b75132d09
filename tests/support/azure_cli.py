"""Runs commands of the Azure CLI against a running local cloud, as a person pastes them into a shell."""

import asyncio
import os
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from local.child_processes import plain_environment
from local.cloud.cloud import LocalCloud
from shared.domain.text import Code


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
            env=self._environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await process.communicate()
        if process.returncode != 0:
            raise CliError(f"{command}\n{error.decode()}")
        return out.decode().strip()

    def _environment(self) -> dict[str, str]:
        variables = plain_environment() | dict(self.cloud.environment)
        return variables | {
            "PATH": f"{self.program.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "AZURE_CONFIG_DIR": str(self.folder),
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
            "AZURE_CORE_ONLY_SHOW_ERRORS": "yes",
        }
