"""infra/ by Azure's own compiler and linter."""

import json
from pathlib import Path

import pytest

from tests.support.bicep import INFRA
from tests.tools.conftest import Tool

TOP = sorted(path.name for path in INFRA.glob("*.bicep"))


@pytest.mark.parametrize("file", TOP)
def test_the_compiler_builds_it(bicep: Tool, file: str) -> None:
    built = bicep.run("build", INFRA / file, "--stdout")

    assert built.returncode == 0, built.stderr
    assert "resources" in json.loads(built.stdout)


@pytest.mark.parametrize("file", TOP)
def test_the_linter_finds_no_error(bicep: Tool, file: str) -> None:
    linted = bicep.run("lint", INFRA / file)

    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_the_compiler_finds_what_is_wrong(bicep: Tool, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.bicep"
    wrong.write_text("param name string\noutput twice int = name\n")

    built = bicep.run("build", wrong, "--stdout")

    assert built.returncode == 1
    assert "BCP033" in built.stderr  # expected a value of type "int"
