"""The account of a secret from the text around it, whatever its tool: bounds, failures, and what counts."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from shared.domain.finding import Finding
from shared.domain.unread_place import UnreadPlace
from shared.errors import AnswerTooLarge, Blocked, NotFound, SasquashError, TransientFailure
from shared.sources import alert_places
from shared.sources.alert_places import AccountUnread, Place, Read, attributed, lines, whole
from tests.support import samples
from tests.support.intake import ALERT, leaked

KEY = samples.KEYS["key1"]
TEXT = f"account: {samples.ACCOUNT}\nkey: {KEY}"
HOST = f"{samples.ACCOUNT}.blob.core.windows.net"
KNOWN = leaked([samples.connection_string()])
BARE = leaked([KEY])


def place(read: Read | Exception, asked: list[Read | Exception] | None = None) -> Place:
    async def at() -> Read:
        if asked is not None:
            asked.append(read)
        if isinstance(read, Exception):
            raise read
        return read

    return at


def listed(*places: Place) -> Callable[[], Awaitable[Sequence[Place]]]:
    async def of() -> Sequence[Place]:
        return places

    return of


async def unread(*reads: Read | Exception) -> tuple[UnreadPlace, ...]:
    [finding] = await attributed(BARE, listed(*(place(read) for read in reads)), alert=ALERT)
    assert finding.host is None
    return finding.unread_places


async def test_findings_with_an_account_need_no_place() -> None:
    asked: list[Read | Exception] = []

    assert await attributed(KNOWN, listed(place(whole(TEXT), asked)), alert=ALERT) == KNOWN
    assert await attributed((), listed(place(whole(TEXT), asked)), alert=ALERT) == ()
    assert asked == []


async def test_finding_with_an_account_stays_as_it_is_beside_a_bare_one() -> None:
    other = leaked([samples.KEYS["key2"]])
    found: tuple[Finding, ...] = await attributed((*KNOWN, *other), listed(place(NotFound("Gone."))), alert=ALERT)

    assert found[0] == KNOWN[0]
    assert found[1].unread_places == (UnreadPlace.MISSING,)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (NotFound("Gone."), UnreadPlace.MISSING),
        (Blocked("No right."), UnreadPlace.REFUSED),
        (AnswerTooLarge("Too large."), UnreadPlace.TOO_LARGE),
    ],
)
async def test_place_that_is_not_read_says_why(error: SasquashError, why: UnreadPlace) -> None:
    assert await unread(error, UnreadPlace.WIKI, error) == tuple(
        one for one in UnreadPlace if one in (why, UnreadPlace.WIKI)
    )


@pytest.mark.parametrize("error", [NotFound("Gone."), Blocked("No right."), TransientFailure("Down.")])
async def test_place_that_is_not_read_does_not_stop_the_others(error: SasquashError) -> None:
    places = (place(error), place(UnreadPlace.WIKI), place(whole(TEXT)))
    [finding] = await attributed(BARE, listed(*places), alert=ALERT)

    assert (finding.host, finding.unread_places) == (HOST, ())


async def test_text_that_was_read_and_names_no_account_is_no_unread_place() -> None:
    assert await unread(whole(KEY), whole("Nothing.")) == ()


async def test_list_of_places_that_is_refused_says_so() -> None:
    async def refused() -> Sequence[Place]:
        raise Blocked("No right.")

    [finding] = await attributed(BARE, refused, alert=ALERT)
    assert finding.unread_places == (UnreadPlace.REFUSED,)


async def test_at_most_five_texts_and_ten_places_are_read() -> None:
    asked: list[Read | Exception] = []
    texts = [place(whole(KEY), asked) for _ in range(9)]
    [finding] = await attributed(BARE, listed(*texts), alert=ALERT)
    assert (len(asked), finding.unread_places) == (5, (UnreadPlace.LEFT_OUT,))

    asked.clear()
    wikis = [place(UnreadPlace.WIKI, asked) for _ in range(19)]
    [finding] = await attributed(BARE, listed(*wikis), alert=ALERT)
    assert (len(asked), finding.unread_places) == (10, (UnreadPlace.WIKI, UnreadPlace.LEFT_OUT))


async def test_service_that_never_answers_ends_with_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_places, "_TIME", 0.01)

    async def never() -> Read:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(AccountUnread, match="took over") as raised:
        await attributed(BARE, listed(never), alert=ALERT)
    assert [finding.unread_places for finding in raised.value.findings] == [(UnreadPlace.NO_ANSWER,)]


async def test_what_was_read_before_the_time_was_over_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_places, "_TIME", 0.01)

    async def never() -> Read:
        await asyncio.Event().wait()
        raise AssertionError

    [finding] = await attributed(BARE, listed(place(whole(TEXT)), never), alert=ALERT)
    assert finding.host == HOST


# Lines of a file


async def host_in(around: Read) -> str | None:
    [finding] = await attributed(BARE, listed(place(around)), alert=ALERT)
    return finding.host


@pytest.mark.parametrize(("distance", "is_found"), [(60, True), (61, False)])
async def test_account_is_found_within_sixty_lines(distance: int, is_found: bool) -> None:
    text = f"account: {samples.ACCOUNT}{'\n' * distance}key: {KEY}\n"
    last = distance + 1

    assert await host_in(lines(text, last, last, column=1)) == (HOST if is_found else None)


async def test_long_line_is_cut_around_the_column() -> None:
    """github/rest-api-description, secret-scanning-location-commit: start_column; a notebook may be one line."""
    text = f"{'x' * 2_000_000} account: {samples.ACCOUNT} key: {KEY} {'y' * 2_000_000}"
    around = lines(text, 1, 1, column=2_000_060)

    assert len(around.text) <= 256 * 1024
    assert await host_in(around) == HOST


@pytest.mark.parametrize("column", [None, "7", -1, True, 10**12])
def test_long_line_without_a_column_is_bounded(column: object) -> None:
    assert len(lines("x" * 4_000_000, 1, 1, column=column).text) <= 256 * 1024


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (2, 3, (2, 3)),
        (2, 1, (2, 2)),
        (2, None, (2, 2)),
        (2, 10**12, (2, 4)),
        (None, 3, (1, 4)),
        (0, 3, (1, 4)),
        (5, 5, (1, 4)),
        (True, 3, (1, 4)),
        ("2", "3", (1, 4)),
        (2.0, 3, (1, 4)),
    ],
)
def test_lines_are_those_of_the_file(first: object, last: object, expected: tuple[int, int]) -> None:
    around = lines("a\nb\nc\nd", first, last, column=1)

    assert (around.first, around.last) == expected


def test_range_of_lines_is_bounded() -> None:
    around = lines("x\n" * 100_000, 1, 100_000, column=1)

    assert around.last <= 101


def test_text_of_a_place_is_in_no_repr() -> None:
    assert KEY not in repr(whole(TEXT))
    assert KEY not in repr(lines(TEXT, 1, 2, column=1))
