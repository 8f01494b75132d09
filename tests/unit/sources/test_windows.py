"""The text around a place: what it holds, by which lines, and how much of it is searched."""

import json
from unittest import mock

import pytest

from shared.api.intake.registry import TEXT_READERS
from shared.domain.report import FoundInText, described
from shared.sas import extract
from shared.sources import windows
from shared.sources.entries import Text
from shared.sources.parsing import Item, Result, items_of
from shared.sources.scanner_place import Around
from shared.sources.windows import TooMuchAround, Windows
from tests.support import samples
from tests.support.samples import NOW

KEY, OTHER = samples.KEYS["key1"], samples.KEYS["key2"]
BLANK = described(source="x", url=None, detected_at=NOW)


def sha(key: str) -> str | None:
    return extract(key)[0].key_sha256


def hashes(found: FoundInText, lines: tuple[int, int] | None = None) -> list[str | None]:
    reported = found.reported(BLANK, lines=lines)
    return [one.finding.credential.key_sha256 for one in reported if one.finding.credential is not None]


def masked(around: Around) -> Item:
    [item] = items_of([Text("", around=around, masked=True)], source="x", now=NOW)
    return item


def test_lines_of_a_place_are_counted_in_its_window() -> None:
    text = "\n".join("AccountKey=" + (KEY if number == 300 else "x") for number in range(1, 501))

    window = Windows().around(Around(text, 300, 301))

    assert window is not None
    assert hashes(window.found, (window.first, window.last)) == [sha(KEY)]
    assert (window.first, window.last) == (61, 62)


@pytest.mark.parametrize(("line", "far"), [(70, False), (40, True)])
def test_window_is_sixty_lines_on_either_side(line: int, *, far: bool) -> None:
    text = "\n".join(f"AccountKey={KEY}" if number == line else "x" for number in range(1, 301))
    window = Windows().around(Around(text, 101, 101))
    assert window is not None
    assert hashes(window.found) == ([] if far else [sha(KEY)])


def test_long_lines_around_a_place_are_left_out_and_its_own_are_whole() -> None:
    text = f"AccountKey={OTHER}\n{'x' * 9_000}\n{'y ' * 9_000}AccountKey={KEY}{' z' * 9_000}\n"
    window = Windows().around(Around(text, 3, 3))
    assert window is not None
    assert hashes(window.found, (window.first, window.last)) == hashes(window.found) == [sha(KEY)]


@pytest.mark.parametrize(("first", "last"), [(4, 4), (9, 9)])
def test_text_without_the_lines_of_its_place_has_no_window(first: int, last: int) -> None:
    assert Windows().around(Around("a\nb\nc", first, last)) is None


@pytest.mark.parametrize(("first", "last"), [(1, 1), (3, 3), (2, 99)])
def test_window_reaches_to_the_ends_of_its_text(first: int, last: int) -> None:
    assert Windows().around(Around("a\nb\nc", first, last)) is not None


def test_masked_secret_that_stands_twice_is_found_at_either_place() -> None:
    text = f"account_name = robustmodels\nkey = {KEY}\n\nAccountKey={KEY}\n"
    for line in (2, 4):
        [finding] = masked(Around(text, line, line)).findings
        assert finding.credential is not None
        assert finding.credential.key_sha256 == sha(KEY)
        assert finding.credential.account == "robustmodels"


def test_each_window_is_searched_once() -> None:
    line = f"AccountKey={KEY};AccountName=robustmodels " * 3
    with mock.patch.object(windows.FoundInText, "of", wraps=FoundInText.of) as search:
        items = items_of([Text("", around=Around(line, 1, 1), masked=True)] * 1000, source="x", now=NOW)
    assert {item.result for item in items} == {Result.ACCEPTED}
    assert search.call_count == 1


def secretlint(lines: int, *, places: int) -> bytes:
    content = ("x" * 99 + "\n") * lines
    messages = [{"loc": {"start": {"line": 1 + number % lines}}} for number in range(places)]
    return json.dumps([{"filePath": "a.py", "sourceContent": content, "messages": messages}]).encode()


def test_posted_report_whose_places_have_too_much_around_them_is_refused_as_a_whole() -> None:
    entries = TEXT_READERS["secretlint"](secretlint(10_000, places=10_000))
    with pytest.raises(TooMuchAround, match="Split it"):
        items_of(entries, source="secretlint", now=NOW, most=10_000)


def test_piped_report_has_no_such_limit() -> None:
    entries = TEXT_READERS["secretlint"](secretlint(2_000, places=2_000))
    assert len(items_of(entries, source="secretlint", now=NOW)) == 2_000


def test_window_that_many_places_share_counts_once() -> None:
    place = Around("x" * 1_000, 1, 1)
    Windows().check([place] * 100, most=1_000)
    with pytest.raises(TooMuchAround):
        Windows().check([place] * 100, most=999)
