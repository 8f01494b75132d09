"""Builds what a release consists of: the package, and the changelog's section of its version.

scripts/release.py package FILE.zip   writes the files under version control without those that .funcignore leaves out
scripts/release.py notes VERSION      prints the section; fails if it is missing, or VERSION is not pyproject's

Used by .github/workflows/release.yml. Standard library only.
"""

import re
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # ZIP's first date: the same commit makes the same bytes


def package_files() -> list[Path]:
    """Return the files of the package, relative to the checkout: patterns of .funcignore match names at any depth."""
    command = ["git", "ls-files"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603
    patterns = (ROOT / ".funcignore").read_text().split()
    return [
        path
        for path in map(Path, listed.splitlines())
        if not any(fnmatch(part, pattern) for part in path.parts for pattern in patterns)
    ]


def write_package(target: Path) -> None:
    """Write the package as a ZIP file."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for path in sorted(package_files()):
            entry = zipfile.ZipInfo(str(path), _EARLIEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            package.writestr(entry, (ROOT / path).read_bytes())


def notes(version: str) -> str:
    """Return the changelog's section of a version, without its heading. Raises SystemExit with what is missing."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        declared = tomllib.load(file)["project"]["version"]
    if version != declared:
        raise SystemExit(f"The tag says {version}, pyproject.toml {declared}.")
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n"
    found = re.search(heading + r"(.+?)(?=^## |\Z)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit(f"CHANGELOG.md has no dated section for {version}.")
    return found[1].strip()


def main(arguments: list[str]) -> int:
    """Run one of the two commands."""
    match arguments:
        case ["package", target]:
            write_package(Path(target))
        case ["notes", version]:
            print(notes(version))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
