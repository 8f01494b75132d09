"""Why the text around a leaked secret was not read at a place where its tool has found it. Pure.

A finding carries it as far as its account is not known: people have to know that the account may stand there.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType


class UnreadPlace(StrEnum):
    """Why a place was not read."""

    REFUSED = "refused"
    MISSING = "missing"
    NO_ANSWER = "no_answer"
    TOO_LARGE = "too_large"
    WIKI = "wiki"
    MALFORMED = "malformed"
    OTHER_KIND = "other_kind"
    LEFT_OUT = "left_out"
    UNNAMED = "unnamed"


_WHY: Mapping[UnreadPlace, str] = MappingProxyType(
    {
        UnreadPlace.REFUSED: "the service refused it, so the app may lack the right to read it (docs/rights.md)",
        UnreadPlace.MISSING: "it is deleted, or hidden from the app",
        UnreadPlace.NO_ANSWER: "the service did not answer",
        UnreadPlace.TOO_LARGE: "it is too large",
        UnreadPlace.WIKI: "it is a page of a wiki, whose text GitHub's API does not have",
        UnreadPlace.MALFORMED: "the alert or the service does not describe it as documented",
        UnreadPlace.OTHER_KIND: "it is of a kind that this version does not know",
        UnreadPlace.LEFT_OUT: "there are more places than Sasquash reads",
        UnreadPlace.UNNAMED: "the alert does not say where it is",
    }
)


def said(places: Iterable[UnreadPlace]) -> str:
    """Return a sentence about places that were not read, with a space before it; empty where there are none."""
    reasons = [_WHY[place] for place in places]
    if not reasons:
        return ""
    return f" A place where it was found could not be read, and may name the account: {'; '.join(reasons)}."


def parse(data: object) -> tuple[UnreadPlace, ...]:
    """Return what untrusted `data` lists, each once. What is none of it is left out."""
    listed = data if isinstance(data, list) else []
    return tuple(place for place in UnreadPlace if place.value in listed)
