"""infra/ by Azure's own compiler, linter and formatter. What it deploys: test_deployment.py."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.tools.conftest import Tool

CHECK = ROOT / ".ci/check-bicep"


def checked(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the check of `make lint` over a folder."""
    return subprocess.run([CHECK, folder], capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.usefixtures("bicep")
def test_compiler_linter_and_formatter_find_nothing() -> None:
    done = checked(ROOT / "infra")

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.usefixtures("bicep")
@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("param name string\noutput twice int = name\n", "BCP033"),  # expected a value of type "int"
        ("param unused string\n", "no-unused-params"),
        ("param name   string\noutput same string = name\n", "bicep format"),
    ],
    ids=["error", "warning", "format"],
)
def test_finding_fails_the_check(tmp_path: Path, text: str, finding: str) -> None:
    (tmp_path / "wrong.bicep").write_text(text)

    done = checked(tmp_path)

    assert done.returncode == 1
    assert finding in done.stdout + done.stderr


def test_formatter_agrees_with_what_it_wrote(bicep: Tool, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.bicep"
    wrong.write_text("param name   string\noutput same string = name\n")
    bicep.run("format", wrong)

    assert checked(tmp_path).returncode == 0


def test_compiler_writes_a_template(bicep: Tool) -> None:
    built = bicep.run("build", ROOT / "infra/main.bicep", "--stdout")

    assert "resources" in json.loads(built.stdout)
