"""Adds to the entries of a report the text around their places. Pure, but for the function that reads it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from shared.sources.entries import Entry, Text
from shared.sources.scanner_place import Around, Place


def with_surroundings(entries: Iterable[Entry], read: Callable[[Place], Around | None]) -> Iterator[Entry]:
    """Yield the entries with the text around their places, as far as `read` can read it."""
    for entry in entries:
        if isinstance(entry, Text) and entry.place is not None:
            yield replace(entry, around=read(entry.place) or entry.around)
        else:
            yield entry
