"""`python -m shared.sas scan`: the credentials in files, in folders, and in the output of `git log -p`.

Each is one line of JSON, or a row of a table, without its secret. Files are read whole, in parallel.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import batched
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO

from shared.redaction import redact

from .anchors import is_clean
from .answers import described
from .extract import located_leaks
from .file_text import decoded
from .foreign import foreign_credentials, names_other_service

_FEW = 16  # files, for which no process is started
_AT_ONCE = 32  # files for a process at once
_PART = 16 * 1024 * 1024  # bytes of a file that are read at once
_OVERLAP = 16 * 1024  # bytes that two parts have in common: no credential is longer
_SKIPPED = {".git", ".hg", ".svn"}
list_folder, open_file = os.scandir, open
_HUNK = re.compile(rb"@@ -[0-9]+(?:,[0-9]+)? \+([0-9]+)(?:,[0-9]+)? @@")


class ScanFailed(Exception):
    """The paths could not be listed. The message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Part:
    """A text to read, and where it comes from. `line` is its first line's number; None: each line has its own."""

    name: str
    data: bytes
    line: int = 1
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What was found in a file: `rows` for JSON; `error` where it could not be read."""

    name: str
    size: int
    rows: tuple[dict[str, object], ...]
    error: str | None = None


def files(paths: Sequence[str], *, gitignore: bool) -> Iterator[str]:
    """Yield the files under `paths`, in order; links are not followed. Raises ScanFailed."""
    for path in paths:
        if not os.path.lexists(path):
            raise ScanFailed(f"{redact(path)}: there is no such file or folder.")
        if not Path(path).is_dir():
            yield path
        elif gitignore:
            yield from _not_ignored(path)
        else:
            yield from _below(path)


def scan_files(names: Iterable[str], *, jobs: int) -> Iterator[Result]:
    """Yield the result of each file, in order, read by so many processes."""
    listed = list(names)
    if jobs <= 1 or len(listed) <= _FEW:
        yield from map(scan_file, listed)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for results in pool.map(scan_batch, batched(listed, _AT_ONCE, strict=False)):
            yield from results


def scan_batch(names: Sequence[str]) -> list[Result]:
    """Read some files: the work of a process at once."""
    return [scan_file(name) for name in names]


def scan_file(name: str) -> Result:
    """Read one file."""
    rows: list[dict[str, object]] = []
    size = 0
    try:
        line, rest = 1, b""
        for data in _parts(name):
            size += len(data)
            part = rest + data
            rows += [row for row in scan_part(Part(name, part, line)) if row not in rows]
            rest = part[-_OVERLAP:]
            line += part.count(b"\n", 0, max(len(part) - _OVERLAP, 0))
    except OSError as error:
        return Result(name, size, tuple(rows), f"{redact(name)}: {error.strerror or type(error).__name__}")
    return Result(name, size, tuple(rows))


def _parts(name: str) -> Iterator[bytes]:
    """Yield a file in parts that fit into memory: most are one. Raises OSError."""
    with open_file(name, "rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size <= _PART:
            yield file.readall()
            return
    with open_file(name, "rb") as large:
        while data := large.read(_PART):
            yield data


def scan_part(part: Part) -> list[dict[str, object]]:
    """Return a row for each credential in a text."""
    is_utf_16 = b"\0" in part.data
    if not is_utf_16 and is_clean(part.data, holds_other=names_other_service):
        return []
    text = decoded(part.data).replace("\0", "")
    leaks = located_leaks(text)
    found: list[tuple[int, dict[str, object]]] = [(at, described(leak)) for at, leak in leaks]
    storage = {leak.credential.signature_sha256 or leak.credential.key_sha256 for _, leak in leaks}
    found += [
        (each.at, {"credential": "other_service", "service": each.service, "sha256": each.sha256})
        for each in foreign_credentials(text)
        if each.sha256 not in storage
    ]
    if not found:
        return []
    commit = {"commit": part.commit} if part.commit else {}
    name = redact(part.name)
    return [
        {"file": name, "line": part.line + text.count("\n", 0, at), **commit, **row}
        for at, row in sorted(found, key=lambda each: each[0])
    ]


def scan_history(stream: BinaryIO) -> Iterator[Result]:
    """Yield the results of `git log -p`, a file of a commit each; of any other text as a whole."""
    for part in _hunks(stream):
        yield Result(part.name, len(part.data), tuple(scan_part(part)))


def _hunks(stream: BinaryIO) -> Iterator[Part]:
    """Yield the hunks of a patch as they are after it: a secret that is removed was added before."""
    commit, name, line = None, "-", 1
    lines: list[bytes] = []
    in_hunk = False
    for raw in stream:
        if in_hunk and raw[:1] in b"+ -\\" and raw[:1]:
            if raw[:1] in b"+ ":
                lines.append(raw[1:])
            continue
        in_hunk = False
        start = _HUNK.match(raw)
        if start is not None or raw.startswith((b"commit ", b"diff --git ", b"+++ ")):
            if lines:
                yield Part(name, b"".join(lines), line, commit)
            lines = []
            in_hunk = start is not None
        if start is not None:
            line = int(start[1])
        elif raw.startswith(b"commit ") and len(raw) > 46:
            commit = raw[7:47].decode("ascii", "replace")
            name, line = "-", 1
        elif raw.startswith(b"+++ "):
            name = raw[4:].strip().decode("utf-8", "replace").removeprefix("b/")
        elif not raw.startswith((b"diff --git ", b"--- ", b"index ")):
            lines.append(raw)  # a commit's message, or a text that is no patch
    if lines:
        yield Part(name, b"".join(lines), line, commit)


def _below(folder: str) -> Iterator[str]:
    waiting = [folder]
    while waiting:
        try:
            with list_folder(waiting.pop()) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            name = redact(str(error.filename))
            raise ScanFailed(f"{name}: {error.strerror}. Scan as a user who may read it.") from None
        yield from (entry.path for entry in listed if entry.is_file(follow_symlinks=False))
        folders = (entry for entry in reversed(listed) if entry.is_dir(follow_symlinks=False))
        waiting += [entry.path for entry in folders if entry.name not in _SKIPPED]


def _not_ignored(folder: str) -> Iterator[str]:
    """List a folder by git, which alone knows all rules of .gitignore."""
    # A repository's own settings may name a program for git to run.
    command = ["git", "-c", "core.fsmonitor=false", "-C", folder, "ls-files", "-z", "-c", "-o", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    except OSError:
        raise ScanFailed("--gitignore needs git. Install it, or scan without --gitignore.") from None
    if done.returncode:
        raise ScanFailed(f"{redact(folder)} is in no git repository. Scan it without --gitignore.")
    for name in sorted(set(done.stdout.split(b"\0")) - {b""}):
        path = Path(folder) / os.fsdecode(name)
        if path.is_file() and not path.is_symlink():
            yield str(path)


def default_jobs() -> int:
    """Return how many processes this machine has cores for."""
    return os.process_cpu_count() or 1
