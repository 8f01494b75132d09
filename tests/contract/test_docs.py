"""Documents agree with the checkout: links resolve, and the targets, modules and files that they name exist."""

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.md")],
    key=str,
)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(#[^)\s]+)?\)")
_HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_MAKE = re.compile(r"(?:`|^|&& )make ([a-z][a-z-]*)", re.MULTILINE)
_MODULE = re.compile(r"python -m ((?:shared|local|bench|conformance|tests)[a-z_.]*)")
_FILE = re.compile(r"`((?:shared|local|infra|scripts|tests|docs|bench|conformance|\.github)/[\w/.-]+)`")


def anchor(heading: str) -> str:
    """GitHub's anchor of a heading."""
    return "#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: Path) -> None:
    broken = []
    for path, fragment in _LINK.findall(page.read_text()):
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            broken.append(path)
        elif fragment and fragment not in {anchor(heading) for heading in _HEADING.findall(target.read_text())}:
            broken.append(path + fragment)

    assert broken == []


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for page in PAGES for target in _MAKE.findall(page.read_text())}

    assert named >= {"demo", "test", "lint", "unit"}
    assert named - targets == set()


def test_modules_of_commands_exist() -> None:
    named = {module for page in PAGES for module in _MODULE.findall(page.read_text())}

    assert "shared.sas" in named
    assert [
        module for module in sorted(named) if not (ROOT / module.replace(".", "/") / "__main__.py").exists()
    ] == []


def test_files_named_in_text_exist() -> None:
    named = {path for page in PAGES for path in _FILE.findall(_FENCE.sub("", page.read_text()))}

    assert len(named) > 30
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(page.name[:4]) for page in sorted((ROOT / "docs/decisions").glob("*.md"))]
    titles = [
        int(page.read_text().removeprefix("# ").partition(".")[0])
        for page in sorted((ROOT / "docs/decisions").glob("*.md"))
    ]

    assert numbers == list(range(1, len(numbers) + 1))
    assert titles == numbers
