"""docs/walkthrough.md names every room, and imports point down its page."""

import ast
import re
from functools import cache

from tests.support.paths import ROOT

_PATH = re.compile(r"`((?:shared/|function_app)[a-z_/.]*)`")


@cache
def rooms() -> list[list[str]]:
    """The paths of each row, top to bottom; a folder's ends with "/"."""
    page = (ROOT / "docs" / "walkthrough.md").read_text()
    firsts = (line.partition(" | ")[0] for line in page.splitlines() if line.startswith("|"))
    return [found for first in firsts if (found := _PATH.findall(first))]


@cache
def files() -> list[str]:
    found = [*(ROOT / "shared").rglob("*.py"), ROOT / "function_app.py"]
    return sorted(str(file.relative_to(ROOT)) for file in found if file.name != "__init__.py")


@cache
def numbers() -> dict[str, int]:
    """The row of each path."""
    return {path: number for number, row in enumerate(rooms()) for path in row}


def row_of(file: str) -> int | None:
    """The row that names a file, or else its folder."""
    return numbers().get(file, numbers().get(f"{file.rpartition('/')[0]}/"))


def imported(file: str) -> set[str]:
    """The files of this project that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {path for name in found if (ROOT / (path := f"{name.replace('.', '/')}.py")).exists()}


def test_every_file_has_a_room() -> None:
    assert [file for file in files() if row_of(file) is None] == []


def test_every_room_is_there() -> None:
    assert [path for row in rooms() for path in row if not (ROOT / path).exists()] == []


def test_imports_point_down_the_page() -> None:
    upward = [
        f"{file} imports {other}"
        for file in files()
        for other in imported(file)
        if other in files() and (row_of(file) or 0) > (row_of(other) or 0)
    ]

    assert upward == []
