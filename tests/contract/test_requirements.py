"""Every package that is installed is the one that was pinned, byte by byte.

Source: pip, "Secure installs" (hash-checking mode): a file in which one requirement has a hash is refused if another
has none. Azure's remote build runs pip on requirements.txt.
"""

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FILES = sorted(ROOT.glob("requirements*.txt"))
_PINNED = re.compile(r"[a-z0-9][a-z0-9._-]*(\[[a-z0-9,-]+\])?==[^ ;]+( ;[^\\]+)? \\\n    --hash=sha256:[0-9a-f]{64}")


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_each_package_is_pinned_by_version_and_hash(file: Path) -> None:
    text = file.read_text()
    packages = re.findall(r"(?m)^[^#\s]", text)

    assert len(packages) == len(_PINNED.findall(text)) > 0


@pytest.mark.parametrize("place", ["Makefile", "docs/deploy.md", ".github/workflows/release.yml"])
def test_every_installation_from_a_file_checks_the_hashes(place: str) -> None:
    commands = (ROOT / place).read_text().replace("\\\n", " ")
    installations = [line for line in commands.splitlines() if "pip install" in line and "--requirement" in line]

    assert installations
    assert [line for line in installations if "--require-hashes" not in line] == []


def test_packages_of_the_app_are_the_same_where_it_is_tested() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"(?m)^([a-z0-9][^ ]*==[^ ]+)", (ROOT / name).read_text()))

    assert pins("requirements.txt") <= pins("requirements-dev.txt")
