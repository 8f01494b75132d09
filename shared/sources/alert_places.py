"""The account of an alert's secret, from the text around it: read where the tool has found it.

Shared by the tools that keep alerts. Each place is a function that reads it. What can't be read never hides the leak:
it is published without its account, and says why (`UnreadPlace`). After a transient failure it is published after a
minute only (docs/decisions/0016-alerts-are-read-at-once-and-from-a-queue.md).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from shared.domain.alert import AlertReference
from shared.domain.finding import Finding, merged
from shared.domain.unread_place import UnreadPlace
from shared.errors import AnswerTooLarge, NotFound, SasquashError, TransientFailure
from shared.sources.scanner_place import Around
from shared.sources.windows import Windows

_log = logging.getLogger(__name__)

MOST = 5  # places of one alert that are read
_MOST_TRIED = 10  # with those that can't be read
_TIME = 30.0  # seconds for all of them
_LONGEST = 256 * 1024  # characters of a place itself: several times what a post of GitHub may have
_MOST_LINES = 100  # of a place itself

type Read = Around | UnreadPlace
type Place = Callable[[], Awaitable[Read]]


class AccountUnread(TransientFailure):
    """A place did not answer, and the account of a secret may stand there. `findings` are what is known without."""

    def __init__(self, message: str, *, findings: tuple[Finding, ...] = (), retry_after: float | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.findings = findings


@dataclass(slots=True)
class _Surroundings:
    """The texts around a secret, why places were not read, and the failure that may pass."""

    texts: list[Around] = field(default_factory=list, repr=False)
    unread: list[UnreadPlace] = field(default_factory=list)
    failure: TransientFailure | None = None

    async def read(self, alert: AlertReference, places: Callable[[], Awaitable[Sequence[Place]]]) -> None:
        """Read the first of `places`, one after the other."""
        try:
            async with asyncio.timeout(_TIME):
                await self._read(alert, places)
        except TimeoutError:
            self._fail(TransientFailure(f"Reading the text around {alert} took over {_TIME:.0f} s."))

    async def _read(self, alert: AlertReference, places: Callable[[], Awaitable[Sequence[Place]]]) -> None:
        listed = await self._of(alert, places)
        if listed is not None and not listed:
            self.unread.append(UnreadPlace.UNNAMED)
        for number, place in enumerate(listed or ()):
            if number == _MOST_TRIED or len(self.texts) == MOST:
                self.unread.append(UnreadPlace.LEFT_OUT)
                return
            match await self._of(alert, place):
                case Around() as text:
                    self.texts.append(text)
                case UnreadPlace() as why:
                    self.unread.append(why)

    async def _of[T](self, alert: AlertReference, read: Callable[[], Awaitable[T]]) -> T | None:
        """Return what `read` returns; None where it fails, which is noted."""
        try:
            return await read()
        except SasquashError as error:  # the right need not be there; the text may be deleted
            _log.warning("The text around the secret of %s was not read (%s): %s", alert, error.code, error)
            self._fail(error)
            return None

    def _fail(self, error: SasquashError) -> None:
        match error:
            case TransientFailure():
                self.failure = error
                self.unread.append(UnreadPlace.NO_ANSWER)
            case NotFound():
                self.unread.append(UnreadPlace.MISSING)
            case AnswerTooLarge():
                self.unread.append(UnreadPlace.TOO_LARGE)
            case _:
                self.unread.append(UnreadPlace.REFUSED)

    def attributed(self, found: Sequence[Finding]) -> tuple[Finding, ...]:
        """Return the findings, those without an account with the ones that the texts have for their secrets."""
        windows = Windows()
        there = [window.found for window in map(windows.around, self.texts) if window is not None]
        unread = tuple(place for place in UnreadPlace if place in self.unread)

        def of(finding: Finding) -> list[Finding]:
            if not _is_bare(finding):
                return [finding]
            placed = [text.located(finding) for text in there]
            return [one for one in placed if not _is_bare(one)] or [replace(finding, unread_places=unread)]

        return merged(one for finding in found for one in of(finding))


async def attributed(
    found: Sequence[Finding], places: Callable[[], Awaitable[Sequence[Place]]], *, alert: AlertReference
) -> tuple[Finding, ...]:
    """Return the findings of `alert`, with the accounts that stand around their secrets at its `places`.

    Other credentials there are ignored: they have alerts of their own. Raises AccountUnread where a place may be
    readable soon.
    """
    if not any(map(_is_bare, found)):
        return tuple(found)
    around = _Surroundings()
    await around.read(alert, places)
    findings, failure = around.attributed(found), around.failure
    if failure is not None and any(map(_is_bare, findings)):
        raise AccountUnread(str(failure), findings=findings, retry_after=failure.retry_after)
    return findings


def _is_bare(finding: Finding) -> bool:
    """Whether its credential does not name its account."""
    return finding.credential is not None and finding.credential.host is None


def whole(text: str) -> Around:
    """Return a text that is a place as a whole, such as a comment."""
    kept = text[:_LONGEST]
    return Around(kept, 1, kept.count("\n") + 1)


def lines(text: str, first: object, last: object, *, column: object) -> Around:
    """Return the lines of a file that an alert names, from 1; the file's beginning where it names none.

    A long line is cut around `column`.
    """
    start = _number(first)
    rows = text.split("\n")
    if start is None or start > len(rows):
        return whole(text)
    end = min(max(_number(last) or start, start), start + _MOST_LINES, len(rows))
    if sum(map(len, rows[start - 1 : end])) <= _LONGEST:
        return Around(text, start, end)
    before = max((_number(column) or 1) - _LONGEST // 2, 0)
    return whole("\n".join(rows[start - 1 : end])[before:])


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
