"""What a tag releases: the package and the changelog's section, as scripts/release.py builds them."""

import importlib.util
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / "scripts" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_package_contains_the_app_and_nothing_else(release: ModuleType, tmp_path: Path) -> None:
    release.write_package(tmp_path / "package.zip")

    with zipfile.ZipFile(tmp_path / "package.zip") as package:
        names = package.namelist()
    assert {name.partition("/")[0] for name in names} == {
        "LICENSE",
        "function_app.py",
        "host.json",
        "requirements.txt",
        "shared",
    }
    assert "shared/api/console/index.html" in names


def test_package_of_one_commit_is_the_same_bytes(release: ModuleType, tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        release.write_package(tmp_path / name)

    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_changelog_has_a_dated_section_for_the_version(release: ModuleType) -> None:
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert "### " in release.notes(version)


def test_tag_of_another_version_is_refused(release: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"The tag says 9\.9\.9"):
        release.notes("9.9.9")


def test_workflow_runs_the_commands_that_exist() -> None:
    steps = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]["release"]["steps"]
    commands = "\n".join(step.get("run", "") for step in steps)

    assert "scripts/release.py notes" in commands
    assert "scripts/release.py package" in commands
    assert "cyclonedx-py requirements requirements.txt" in commands
