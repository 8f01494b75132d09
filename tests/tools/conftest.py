"""Tools that `make` does not install. A test whose tool is absent is skipped, and the skip names the tool.

The Azure CLI is installed by the first test that needs it, into an environment of its own outside the checkout, since
it pins what the product needs in other versions.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.azure_cli import AzureCli
from tests.support.bicep import INFRA
from tests.support.paths import ROOT
from tests.support.snapshots import REQUIRED, Snapshot, predict

if TYPE_CHECKING:
    from local.cloud.cloud import LocalCloud

type Deploy = Callable[..., Snapshot]

AZURE_CLI = "azure-cli==2.91.0"
_INSTALLATION = 600  # seconds, on a slow network


@dataclass(frozen=True)
class Tool:
    """A program on the PATH."""

    path: str

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run it in the checkout; its output is text."""
        command: Sequence[str | Path] = (self.path, *arguments)
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def _found(name: str) -> Tool:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not on the PATH")
    return Tool(path)


@pytest.fixture(scope="session")
def bicep() -> Tool:
    return _found("bicep")


@pytest.fixture(scope="session")
def pwsh() -> Tool:
    return _found("pwsh")


@pytest.fixture
def scanner(request: pytest.FixtureRequest) -> tuple[str, Tool]:
    """A scanner of secrets: its name, which a test's parameter gives, and its program."""
    return request.param, _found(request.param)


@pytest.fixture(scope="session")
def azd_program() -> Tool:
    return _found("azd")


@pytest.fixture(scope="session")
def azure_cli_program() -> Path:
    """The program `az`, installed by uv if it is not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sasquash-tools"
    folder = cache / AZURE_CLI.replace("==", "-")
    complete = folder / "installed"  # the last file that is written
    if not complete.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _run_uv("venv", "--clear", "--python", sys.executable, str(folder))
        _run_uv("pip", "install", "--python", str(folder / "bin" / "python"), AZURE_CLI)
        complete.touch()
    return folder / "bin" / "az"


def _run_uv(*arguments: str) -> None:
    """Run uv, which requirements-dev.txt installs. Skips the test where it fails: there may be no network."""
    command = (Path(sys.executable).with_name("uv"), *arguments, "--quiet")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALLATION, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{AZURE_CLI} could not be installed: {type(error).__name__}")
    if done.returncode != 0:
        pytest.skip(f"{AZURE_CLI} could not be installed: {(done.stderr.strip() or 'uv failed').splitlines()[0]}")


@pytest.fixture(scope="session")
async def azure_cli(
    azure_cli_program: Path, cloud: "LocalCloud", tmp_path_factory: pytest.TempPathFactory
) -> AzureCli:
    """The Azure CLI, signed in to the local cloud by the developer's managed identity."""
    cli = AzureCli(azure_cli_program, cloud, folder=tmp_path_factory.mktemp("azure"))
    await cli.run("az login --identity --output none")
    return cli


@pytest.fixture(scope="session")
def deploy(bicep: Tool, tmp_path_factory: pytest.TempPathFactory) -> Deploy:
    """Predict the deployment of main.bicep; `choices` differ from its defaults. Each is predicted once."""

    @cache
    def predicted(choices: str) -> Snapshot:
        given = REQUIRED | json.loads(choices)
        return predict(bicep.path, INFRA / "main.bicep", tmp_path_factory.mktemp("snapshot"), given)

    return lambda **choices: predicted(json.dumps(choices, sort_keys=True))
