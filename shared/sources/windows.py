"""What stands around the places that a report names, searched once for each part of a text. Pure.

A report may name ten thousand places in one long line: whatever it names, the work is bounded by the text searched.
"""

import re
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

from shared.domain.report import FoundInText
from shared.errors import InvalidRequest
from shared.sources.scanner_place import Around

_LINES = 60  # on either side of a place
_CHARACTERS = 8_000  # on either side of a place; its own lines are never cut
_KEPT = 256  # results, and texts whose lines are known
MOST = 8 * 1024 * 1024  # characters around the places of a report that is posted
_BREAK = re.compile("\n")


class TooMuchAround(InvalidRequest):
    """The places of a report have too much text around them."""

    code = "too_much_text"


@dataclass(frozen=True, slots=True)
class Window:
    """What is found in a part of a text, in which the place has the lines `first` to `last`, from 1."""

    found: FoundInText
    first: int
    last: int


@dataclass(slots=True)
class Windows:
    """Searches the windows of one report, each once."""

    _starts: dict[str, "array[int]"] = field(default_factory=dict, repr=False)
    _found: dict[tuple[str, int, int], FoundInText] = field(default_factory=dict, repr=False)

    def check(self, places: Iterable[Around], *, most: int = MOST) -> None:
        """Raise TooMuchAround where the windows of a report have over `most` characters together."""
        bounds = {(place.text, *self._window(place)[:2]) for place in places if self._has(place)}
        if sum(end - start for _, start, end in bounds) > most:
            raise TooMuchAround(
                f"The places that the report names have over {most} characters around them, and nothing of it was "
                "published. Split it, or use the command `python -m shared.intake` (docs/sources.md)."
            )

    def around(self, place: Around) -> Window | None:
        """Return what is found around a place; None where its text does not have its lines."""
        if not self._has(place):
            return None
        start, end, first = self._window(place)
        return Window(self._search(place.text, start, end), place.first - first, place.last - first)

    def _has(self, place: Around) -> bool:
        return place.first <= len(self._lines_of(place.text))

    def _window(self, place: Around) -> tuple[int, int, int]:
        """Return where the window of a place begins and ends, and how many lines are before it."""
        starts = self._lines_of(place.text)
        own_start, own_end = self._own(place)
        first = max(place.first - 1 - _LINES, 0)
        while starts[first] < own_start - _CHARACTERS:
            first += 1
        after = min(place.last, len(starts)) + _LINES
        end = starts[after] if after < len(starts) else len(place.text)
        return starts[first], max(min(end, own_end + _CHARACTERS), own_end), first

    def lines(self, place: Around) -> FoundInText:
        """Return what the lines of a place hold by themselves. Its text has these lines."""
        return self._search(place.text, *self._own(place))

    def _own(self, place: Around) -> tuple[int, int]:
        """Return where the lines of a place begin and end."""
        starts = self._lines_of(place.text)
        return starts[place.first - 1], starts[place.last] if place.last < len(starts) else len(place.text)

    def _lines_of(self, text: str) -> "array[int]":
        """Return the offsets at which the lines of a text begin."""
        if text not in self._starts:
            if len(self._starts) >= _KEPT:
                self._starts.clear()
            self._starts[text] = array("Q", (0, *(match.end() for match in _BREAK.finditer(text))))
        return self._starts[text]

    def _search(self, text: str, start: int, end: int) -> FoundInText:
        key = text, start, end
        if key not in self._found:
            if len(self._found) >= _KEPT:
                self._found.clear()
            self._found[key] = FoundInText.of(text[start:end])
        return self._found[key]
