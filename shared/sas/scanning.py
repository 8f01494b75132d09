"""The command `python -m shared.sas scan`: its arguments, its progress, its output and its exit status."""

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO, TextIO

from .scan import Result, ScanFailed, default_jobs, files, scan_files, scan_history

_EVERY = 0.5  # seconds between two lines of progress
_COLUMNS = ("place", "credential", "service", "account", "container", "permissions", "expires", "fingerprint")
_WIDEST = 60  # characters of a column


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files and folders; none: `git log -p` on standard input"
    )
    parser.add_argument(
        "--format", choices=("json", "table"), default="json", help="JSON lines (default), or a table"
    )
    parser.add_argument("--gitignore", action="store_true", help="leave out what git ignores")
    parser.add_argument("--jobs", type=int, default=default_jobs(), help="processes (default: one for each core)")
    parser.add_argument("--quiet", action="store_true", help="no progress and no summary on standard error")


def run(chosen: argparse.Namespace, *, stdin: BinaryIO, stdout: TextIO, stderr: TextIO) -> int:
    """Scan, and return the exit status: 0 nothing found, 1 found, 2 not everything could be read."""
    progress = _Progress(stderr, quiet=chosen.quiet)
    try:
        if chosen.paths:
            listed = list(files(chosen.paths, gitignore=chosen.gitignore))
            results: Iterable[Result] = scan_files(listed, jobs=chosen.jobs)
        else:
            results = scan_history(stdin)
        rows = _printed(progress.watched(results), stdout, as_table=chosen.format == "table")
    except ScanFailed as error:
        stderr.write(f"{error}\n")
        return 2
    progress.finish()
    return 2 if progress.failed else int(rows > 0)


class _Progress:
    """Counts what was read, and says so on standard error."""

    def __init__(self, stderr: TextIO, *, quiet: bool) -> None:
        self._stderr = stderr
        self._quiet = quiet
        self._started = self._shown = time.monotonic()
        self._files = self._size = self._found = 0
        self.failed = 0

    def watched(self, results: Iterable[Result]) -> Iterator[Result]:
        """Yield the results, counted."""
        for result in results:
            self._files += 1
            self._size += result.size
            self._found += len(result.rows)
            if result.error is not None:
                self.failed += 1
                self._stderr.write(f"{_printable(result.error)}\n")
            if not self._quiet and time.monotonic() - self._shown >= _EVERY:
                self._shown = time.monotonic()
                self._stderr.write(f"{self._counts()} so far\n")
            yield result

    def finish(self) -> None:
        """Write the summary."""
        if not self._quiet:
            seconds = time.monotonic() - self._started
            unread = f"; {self.failed} could not be read" if self.failed else ""
            self._stderr.write(f"{self._counts()} in {seconds:.1f} s{unread}\n")

    def _counts(self) -> str:
        return f"{self._files} files, {self._size / 1_000_000:.1f} MB: {self._found} credentials"


def _printed(results: Iterable[Result], stdout: TextIO, *, as_table: bool) -> int:
    """Write the rows, and return how many they are."""
    if as_table:
        rows = [row for result in results for row in result.rows]
        stdout.writelines(_table(rows))
        return len(rows)
    count = 0
    for result in results:
        for row in result.rows:
            stdout.write(f"{json.dumps(row)}\n")
            count += 1
        stdout.flush()
    return count


def _table(rows: Sequence[Mapping[str, object]]) -> Iterator[str]:
    if not rows:
        return
    cells = [[name.upper() for name in _COLUMNS], *([_cell(row, name) for name in _COLUMNS] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_COLUMNS))]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"


def _cell(row: Mapping[str, object], name: str) -> str:
    if name == "place":
        return _printable(f"{row['file']}:{row['line']}")[-_WIDEST:]
    value = row.get(name) or (row.get("sha256") if name == "fingerprint" else None)
    text = _printable(str(value)) if value is not None else "-"
    return text[:12] if name == "fingerprint" else text[:_WIDEST]


def _printable(text: str) -> str:
    """Return `text` so that it can't command a terminal: files may have any name."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
