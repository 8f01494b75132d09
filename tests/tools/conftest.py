"""Tools that `make` does not install. A test whose tool is absent is skipped, and the skip names the tool."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.paths import ROOT


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
