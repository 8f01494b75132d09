"""Reads the files that a scanner's report names, below the folder that the user names (`--root`).

The report is hostile: no path of it leads out of that folder, to a device, or through a link. Of a commit, what git
has is read where the folder is a repository: the file may have changed since.
"""

import os
import stat
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from shared.sas.file_text import decoded
from shared.sources.scanner_place import Around, Place

_LARGEST = 8 * 1024 * 1024  # bytes of a file
_GIT_TIME = 20.0  # seconds


class NoSuchFolder(ValueError):
    """The folder that was named is none."""


class Files:
    """The files below a folder. Raises NoSuchFolder."""

    def __init__(self, root: str) -> None:
        self._root = Path(root).resolve()
        if not self._root.is_dir():
            raise NoSuchFolder("--root names no folder. Name the one that was scanned.")
        self._read = lru_cache(maxsize=64)(self._content)

    def around(self, place: Place) -> Around | None:
        """Return the file of a place; None where there is no such file, or its lines are not there."""
        text = self._read(place.file, place.commit)
        if text is None or place.first > text.count("\n") + 1:
            return None
        return Around(text, place.first, place.last)

    def _content(self, file: str, commit: str | None) -> str | None:
        for name in _names(file):
            data = self._of_commit(name, commit) if commit is not None else None
            data = self._in_folder(name) if data is None else data
            if data is not None:
                return decoded(data)
        return None

    def _in_folder(self, name: str) -> bytes | None:
        """Return the bytes of a file below the root; None where it is none, too large, or outside."""
        try:
            path = (self._root / name).resolve(strict=True)
            if not path.is_relative_to(self._root):
                return None
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe must not be waited for
        except (OSError, ValueError):
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
                return None
            with os.fdopen(descriptor, "rb", closefd=False) as opened:
                return opened.read(_LARGEST)
        finally:
            os.close(descriptor)

    def _of_commit(self, name: str, commit: str) -> bytes | None:
        """Return the bytes of a file in a commit of the repository; None where git does not have it.

        `commit` is hexadecimal, so that no argument can be an option.
        """
        command = ["git", "-C", str(self._root), "-c", "core.fsmonitor=false", "cat-file", "blob", f"{commit}:{name}"]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=_GIT_TIME)  # noqa: S603 -- git
        except (OSError, subprocess.TimeoutExpired, ValueError):
            return None
        return done.stdout if done.returncode == 0 and len(done.stdout) <= _LARGEST else None


def _names(file: str) -> Iterator[str]:
    """Yield what a file may be called below the root, the longest first: the report may be of another machine."""
    plain = unquote(file.removeprefix("file://")) if file.startswith("file://") or "%" in file else file
    for text in dict.fromkeys((file, plain)):
        parts = PurePosixPath(text.replace("\\", "/")).parts
        if ".." in parts:
            continue
        relative = parts[1:] if text.startswith("/") or (parts and parts[0].endswith(":")) else parts
        yield from ("/".join(relative[start:]) for start in range(len(relative)))
