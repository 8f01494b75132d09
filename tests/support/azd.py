"""Runs the Azure Developer CLI against a running local cloud, on a copy of the files that the repository has."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.child_processes import plain_environment
from local.cloud.cloud import LocalCloud
from local.entra.tokens import ARM
from local.network.listener import Listener
from local.tenant.model import SUBSCRIPTION_ID, now
from tests.support.paths import ROOT

_KEY = "azd-asks-for-tokens-with-this"
_LIFETIME = timedelta(hours=1)
_REACH = re.compile(r"_PROXY|_CERT|_BUNDLE", re.IGNORECASE)


@dataclass(frozen=True)
class Done:
    """How a command ended, and all that it printed."""

    code: int
    text: str


@dataclass(frozen=True)
class Azd:
    """The program `azd`, signed in by an endpoint for tokens, as editors sign it in.

    Azure/azure-dev, cli/azd/docs/external-authentication.md. Its profile and its environments are in `folder`.
    """

    program: str
    cloud: LocalCloud
    _: KW_ONLY
    folder: Path
    sign_in: int
    tools: tuple[Path, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        return self.folder / "sasquash"

    async def run(self, *arguments: str, **variables: str) -> Done:
        """Run a command in the project, without a terminal. `variables`: of its environment."""
        return await self.script(self.program, *arguments, **variables)

    async def script(self, *command: str, **variables: str) -> Done:
        """Run another command there, likewise."""
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.project,
            env=self._environment() | variables,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        return Done(process.returncode or 0, out.decode())

    def _environment(self) -> dict[str, str]:
        reach = {name: value for name, value in self.cloud.environment.items() if _REACH.search(name)}
        path = os.pathsep.join([*(str(tool) for tool in self.tools), os.environ["PATH"]])
        return plain_environment() | reach | dict(self.variables) | {
            "PATH": path,
            "HOME": str(self.folder),
            "AZD_CONFIG_DIR": str(self.folder / "azd"),
            "AZD_AUTH_ENDPOINT": f"http://127.0.0.1:{self.sign_in}",
            "AZD_AUTH_KEY": _KEY,
            "AZD_BICEP_TOOL_PATH": shutil.which("bicep") or "",
            "AZURE_DEV_COLLECT_TELEMETRY": "no",
            "AZD_SKIP_UPDATE_CHECK": "true",
            "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION_ID,
            "AZURE_LOCATION": "westeurope",
            "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
        }  # fmt: skip


@asynccontextmanager
async def signed_in(cloud: LocalCloud) -> AsyncIterator[int]:
    """Serve tokens of the developer for azd; yields the port."""

    async def token(request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {_KEY}":
            return JSONResponse({"status": "error", "code": "NotSignedInError", "message": "no key"})
        developer = cloud.model.identities["developer"]
        value = cloud.entra.mint(developer, audience=ARM, lifetime=_LIFETIME)
        expires = (now() + _LIFETIME).isoformat().replace("+00:00", "Z")
        return JSONResponse({"status": "success", "token": value, "expiresOn": expires})

    listener = Listener(Starlette(routes=[Route("/token", token, methods=["POST"])]))
    await listener.start()
    try:
        yield listener.port
    finally:
        await listener.stop()


def copy_project(folder: Path) -> None:
    """Copy what the repository has, and nothing that a used checkout has beside it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if not (ROOT / name).is_file() or (ROOT / name).is_symlink():
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
