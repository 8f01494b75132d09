"""Where a scanner has found a secret: a file, its lines and its commit, as the report names them. Pure.

All of it is untrusted: `shared/intake/files.py` reads it only below the folder that the user names.
"""

import re
from dataclasses import dataclass, field

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_LONGEST_PATH = 4096


@dataclass(frozen=True, slots=True)
class Place:
    """Lines of a file, from 1. `commit` is a git object's name, None where the file lies in the folder."""

    file: str
    first: int
    last: int
    commit: str | None = None

    @classmethod
    def of(cls, file: object, first: object, last: object = None, *, commit: object = None) -> "Place | None":
        """Return the place that a report names; None where it names none."""
        if not isinstance(file, str) or not 0 < len(file) <= _LONGEST_PATH or "\0" in file:
            return None
        start = first if isinstance(first, int) and not isinstance(first, bool) and first > 0 else 0
        if not start:
            return None
        end = last if isinstance(last, int) and not isinstance(last, bool) and last >= start else start
        name = commit if isinstance(commit, str) and _COMMIT.fullmatch(commit) else None
        return cls(file.removeprefix("./"), start, end, name)

    def __str__(self) -> str:
        at = f"@{self.commit[:12]}" if self.commit else ""
        return f"{self.file}:{self.first}{at}"


def where(place: Place | None, *, file: str | None = None) -> str | None:
    """Return how a place is shown; `file` where the report names no lines."""
    return str(place) if place is not None else file


@dataclass(frozen=True, slots=True)
class Around:
    """A text that holds a place, such as its file: the reported lines are `first` to `last`, from 1."""

    text: str = field(repr=False)
    first: int
    last: int
