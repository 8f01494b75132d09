"""Where a text may hold a credential: its windows. Only they are read; the rest of a text costs next to nothing.

Every signature (32 bytes in base64) and every key (64 bytes) has a run of 42 or more characters of base64 or of its
escapes, unless it was cut into literals or lines; then the name `sig` stands before its first part. Both are found
on bytes. A run counts as an anchor if it is a signature's or a key's, or if what it encodes may hold one.
"""

import base64
import bisect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_SHORTEST = 42
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/%\\"
_TWO_LETTERS = bytes(ord("A") if byte in _ALPHABET else ord("B") for byte in range(256))
_RUN = b"A" * _SHORTEST
_LOWER = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_HEX = b"0123456789abcdefABCDEF"

_SIG_AFTER = re.compile(
    rb"[\"'\])]{0,2}\s{0,4}(?:[=:,>\[]|\\+u003[dD]|\\+x3[dD]|%(?:25)*3[dD]|&(?:amp;)*#)[^A-Za-z0-9]{0,8}"
    rb"[\x00-\xff]{0,24}?[A-Za-z0-9+/%\\]{14}"
)
_SIG_AFTER_ESCAPE = re.compile(rb"(?:%(?:25)*[2-7][0-9A-Fa-f]|[ux0]26|[xu0]3[fF]|3[DF])\Z")
# The name was cut by the end of a line.
_APART_IN_NAME = rb"(?:[^A-Za-z0-9]|\\[nr]|%(?:25)*(?:0[aAdD]|[2-7][0-9A-Fa-f])){0,20}"
_CUT_NAME = re.compile(
    rb"s" + _APART_IN_NAME + rb"i" + _APART_IN_NAME + rb"g" + _APART_IN_NAME + rb"(?:=|=?3D|%(?:25)*3[dD])"
)
_NEAR_NAME = 600  # characters of a run in which a name is searched
_HASH_BEFORE = re.compile(rb"sha(?:512|384)[^A-Za-z0-9]{0,4}\Z")
_KEY = re.compile(rb"(?:[A-Za-z0-9+/]|%(?:25)*2[BbFf]|\\+u002[BbFf]|\\+/|\\+x2[BbFf]){86}")
_KEY_CHARACTERS = 86
_LONGEST_KEY = 86 * 7
_SHORTEST_BLOCK = 56
# A key in adjacent literals, one of which is a run: what stands between them is that of `normalize.py`.
_SPACE = rb"(?:\s|\\+[nrt])"
_OPERATOR = rb"(?:[+.&]|\\(?![\\nrt]))"
_GOES_ON = (
    rb"\\{0,3}+[\"'][ \t]{0,8}+"
    + _OPERATOR
    + rb"?+[ _]{0,4}+"
    + _SPACE
    + rb"{0,80}+[+.&]?+"
    + _SPACE
    + rb"{0,8}+[rbf]?+\\{0,3}+[\"']"
)
_PART = rb"(?P<part>(?:[A-Za-z0-9+/]|%2[BbFf])++)"
_PART_AFTER = re.compile(_GOES_ON + _PART)
_PART_BEFORE = re.compile(rb"(?<![A-Za-z0-9+/%])" + _PART + _GOES_ON + rb"\Z")
_FARTHEST_PART = 86 * 3 + 120  # characters, percent-encoded, with what stands between
_QUOTES = (b'"', b"'", b"\\")
_ESCAPED_CHARACTER = re.compile(rb"%2[BbFf]")
_BLOCK = re.compile(
    rb"[A-Za-z0-9+/_-]+(?:\r?\n[ \t>#*+-]{0,12}[A-Za-z0-9+/_-]{40,})*"
    rb"(?:\r?\n[ \t>#*+-]{0,12}[A-Za-z0-9+/_-]{1,76}={0,2}(?![^\s]))?={0,2}"
)
_NO_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_WORTH_READING = re.compile(  # zero bytes between the letters are UTF-16
    rb"s[^A-Za-z0-9]{0,20}i[^A-Za-z0-9]{0,20}g[^A-Za-z0-9]|[Aa]ccount\x00?[Kk]ey|A\x00c\x00c\x00o\x00u\x00n\x00t\x00K"
    rb"|\A[A-Za-z0-9+/]{86}(?:==)?\s?\Z"
)
_LAYERS = 4

_BEFORE, _BEHIND = 1000, 800  # characters of a window around its anchors
_WIDE = 4500  # the same, where the account or the path is not among them
_GAP = 800  # characters between two anchors of one window
_LARGEST = 16_000  # characters of a window's anchors, after which another one begins
_TO_LINE_END = 300
_INEXACT = 8  # characters by which a place in a reading of a text differs from that in the text
_LONGEST_WORD = 4096
_BETWEEN_WORDS = re.compile(r"[\s\"'<>]")
_APART = re.compile(r"[\s\"'<>]|(?<=[^A-Za-z0-9.%$_-])(?=[A-Za-z0-9])")


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a text around `anchors` credentials."""

    start: int
    end: int
    anchors: int


@dataclass(frozen=True, slots=True)
class Anchors:
    """The places of a text where a credential may stand, in order: starts and ends."""

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def in_text(cls, text: str) -> "Anchors":
        """Find them. Offsets are those of `text`: a character outside of Latin-1 is none of a credential's."""
        data = text.encode("latin-1", errors="replace")
        found = sorted([*_named(data), *_runs(data)])
        starts: list[int] = []
        ends: list[int] = []
        for start, end in found:
            if starts and start < starts[-1] + 48 and start <= ends[-1] + 8:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(start)
                ends.append(end)
        return cls(text, tuple(starts), tuple(ends))

    def groups(self) -> Iterator[tuple[int, int]]:
        """Yield the first and the last anchor of each window."""
        first = 0
        for index in range(1, len(self.starts) + 1):
            ends = index == len(self.starts) or (
                self.starts[index] - self.ends[index - 1] > _GAP or self.starts[index] - self.starts[first] > _LARGEST
            )
            if ends:
                yield first, index - 1
                first = index

    def window(self, first: int, last: int, *, wide: bool = False) -> Window:
        """Return the window around the anchors `first` to `last`, to the ends of its lines where they are near."""
        start = max(self.starts[first] - (_WIDE if wide else _BEFORE), 0)
        end = min(self.ends[last] + (_WIDE if wide else _BEHIND), len(self.text))
        start, end = self._from_boundary(start, self.starts[first]), self._to_boundary(end)
        inside = bisect.bisect_left(self.starts, end) - bisect.bisect_left(self.starts, start)
        return Window(start, end, inside)

    def nearest(self, at: float) -> int:
        """Return where the anchor starts that belongs to what was found at `at`: the first one after it."""
        index = bisect.bisect_left(self.starts, at - _INEXACT)
        return self.starts[min(index, len(self.starts) - 1)]

    def _from_boundary(self, start: int, anchor: int) -> int:
        """Return where a window may begin near `start`: not inside of a name or a number, which would be another."""
        line = self.text.rfind("\n", max(start - _TO_LINE_END, 0), start)
        if start == 0 or line >= 0:
            return line + 1
        apart = _APART.search(self.text, start, min(start + _TO_LINE_END, anchor))
        return apart.end() if apart else start

    def _to_boundary(self, end: int) -> int:
        """Return where a window may end near `end`: not inside of a token, whose signature may stand first."""
        line = self.text.find("\n", end, end + _TO_LINE_END)
        if line >= 0 or end == len(self.text):
            return line if line >= 0 else end
        apart = _BETWEEN_WORDS.search(self.text, end, end + _LONGEST_WORD)
        if apart is None and end + _LONGEST_WORD >= len(self.text):
            return len(self.text)
        return apart.start() if apart else max(self.text.rfind("&", end - _TO_LINE_END, end), end - _TO_LINE_END)


def has_run(text: str, length: int) -> bool:
    """Whether `text` has a run of so many characters of base64 or its escapes: quicker than any pattern."""
    return next(runs(text, length), None) is not None


def runs(text: str, length: int) -> Iterator[tuple[int, int]]:
    """Yield where the runs of at least so many characters of base64 or its escapes start and end."""
    letters = text.encode("latin-1", errors="replace").translate(_TWO_LETTERS)
    run = _next_run(letters, 0, length)
    while run is not None:
        yield run
        run = _next_run(letters, run[1], length)


def _next_run(letters: bytes, at: int, length: int) -> tuple[int, int] | None:
    """Return where the next run starts and ends, in a text of two letters; None where there is none."""
    start = letters.find(b"A" * length, at)
    if start < 0:
        return None
    end = letters.find(b"B", start + length)
    return start, end if end >= 0 else len(letters)


def lowered(text: str) -> str:
    """Return `text` in lower case, and of the same length: its ASCII letters only where another becomes two."""
    lower = text.lower()
    return lower if len(lower) == len(text) else text.translate(_LOWER)


def _has_run(data: bytes) -> bool:
    return _RUN in data.translate(_TWO_LETTERS)


def is_clean(data: bytes, *, holds_other: Callable[[bytes], bool]) -> bool:
    """Whether a text has no anchor, by its bytes in UTF-8 or in an encoding of single bytes: most files have none.

    `holds_other` is asked about one that has a run, but no anchor: whether to read it all the same. A byte above 127
    is none of a credential's.
    """
    if next(_named(data), None) is not None:
        return False
    return not _has_run(data) or (next(_runs(data), None) is None and not holds_other(data))


def _named(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where `sig` is the name of a value that begins like a signature."""
    at = data.find(b"sig")
    while at >= 0:
        before = data[at - 1 : at]
        if not (before.isalnum() or before == b"_") or _SIG_AFTER_ESCAPE.search(data, max(at - 10, 0), at):
            match = _SIG_AFTER.match(data, at + 3)
            if match is not None:
                yield at, match.end()
        at = data.find(b"sig", at + 3)


def _runs(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the runs of base64 that are a signature whose name was cut, a key, or hold one."""
    letters = data.translate(_TWO_LETTERS)
    found = _next_run(letters, 0, _SHORTEST)
    while found is not None:
        start, end = found
        run = data[start:end]
        if not run.islower() and not run.isupper() and run.translate(None, _HEX):
            literals = _key_in_literals(data, start, end)
            if literals is not None:
                yield literals
                end = max(end, literals[1])
            elif _is_cut_signature(data, start, end) or _is_key(data, start, run):
                yield start, end
            elif len(run) >= _SHORTEST_BLOCK:
                block = _BLOCK.match(data, start)
                if block is not None and block.end() > end - 8:
                    end = max(end, block.end())
                    if _is_worth_reading(block[0]):
                        yield start, end
        found = _next_run(letters, end, _SHORTEST)


def _is_cut_signature(data: bytes, start: int, end: int) -> bool:
    return _CUT_NAME.search(data, max(start - 80, 0), min(start + _NEAR_NAME, end)) is not None


def _key_in_literals(data: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Return where a key is that was cut into adjacent literals, of which the run is one; None where it is no key."""
    if end - start > _LONGEST_KEY or (data[start - 1 : start] not in _QUOTES and data[end : end + 1] not in _QUOTES):
        return None  # neither begins nor ends in a literal
    key = data[start:end].rstrip(b"\\")
    end = start + len(key)
    if _length(key) >= _KEY_CHARACTERS:
        return None
    while _length(key) < _KEY_CHARACTERS and (after := _PART_AFTER.match(data, end, end + _FARTHEST_PART)):
        key, end = key + after["part"], after.end()
    while _length(key) < _KEY_CHARACTERS and (
        before := _PART_BEFORE.search(data, max(start - _FARTHEST_PART, 0), start)
    ):
        key, start = before["part"] + key, before.start()
    return (start, end) if _length(key) == _KEY_CHARACTERS else None


def _length(key: bytes) -> int:
    return len(_ESCAPED_CHARACTER.sub(b"+", key))


def _is_key(data: bytes, start: int, run: bytes) -> bool:
    if not 86 <= len(run) <= _LONGEST_KEY or _HASH_BEFORE.search(data, max(start - 12, 0), start):
        return False
    match = _KEY.search(run)
    return match is not None and len(run) - match.end() <= 24


def _is_worth_reading(block: bytes) -> bool:
    """Whether `block` is a key on several lines, or may encode a credential, in as many layers as are read."""
    if b"\n" in block and len(block.translate(None, b" \t\r\n>#*=")) == _KEY_CHARACTERS:
        return True
    for _ in range(_LAYERS):
        text = block.translate(_URL_SAFE).translate(None, _NO_BASE64)
        text = text[:-1] if len(text) % 4 == 1 else text
        block = base64.b64decode(text + b"=" * (-len(text) % 4))
        if _WORTH_READING.search(block):
            return True
        if block.translate(None, _ALPHABET + b"=-_\r\n "):
            break
    return False
