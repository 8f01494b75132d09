"""Text of ours and text from outside, as different types, and what makes text from outside harmless.

Only `Code` is shown as code that people copy, and only our own modules make one. A `str` is text and nothing else,
no matter who wrote it: each channel makes it harmless where it shows it. `Foreign` does so earlier, where a sentence
of ours quotes text from outside, so that what is stored is harmless, too (docs/decisions, "Only code is shown as
code").
"""

import re
import unicodedata
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from typing import Self

from shared.redaction import redact

LONGEST = 8000
"""Far more characters than are ever shown of one text; bounds the work that hostile input can ask for."""

_MOST_MARKS = 4  # combining marks on one character: some scripts need three, and a hundred cover the lines above
# Characters that isprintable() accepts and nobody sees: Unicode's Default_Ignorable_Code_Point without those of
# category Cf (DerivedCoreProperties.txt), and U+2800, the empty Braille pattern.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,30}):(?=//)", re.IGNORECASE)  # RFC 3986 section 3.1
# Schemes without "//" that a click opens: mail and phone programs, scripts, and Office ("Office URI Schemes").
_OPENS = re.compile(
    r"(?<![a-z])(mailto|javascript|vbscript|data|tel|sms|callto|sips?|skype|file|about|search-ms|ms-[a-z-]{1,30}):(?!\s)",
    re.IGNORECASE,
)
_AUTHORITY = re.compile(r"([a-z]+://)?([^/?#\s]*)", re.IGNORECASE)
# Outlook makes a link of \\server\share, and opening it sends a password hash to the server.
_UNC = re.compile(r"\\(?=\\)")
_WWW = re.compile(r"www\.", re.IGNORECASE)
_MARKDOWN_LINK = re.compile(r"\](?=[(\[])")  # CommonMark 0.31.2, 6.3 "Links": nothing may stand between the two
# HTML and Markdown take "<" for a tag or a link, Jira and its like "{code}" for a box of code.
_MARKUP = str.maketrans("<>{}", "\u2039\u203a\u2039\u203a")  # single angle quotation marks
# What a spreadsheet takes for a formula at the start of a cell (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@")
# Without "`", which ends code in Markdown, and without the start and end of a tag.
_CODE = re.compile(r"[^`<>]{1,2000}")


@dataclass(frozen=True, slots=True)
class Code:
    """Text of ours that people copy as it is: a command, a request, a digest. Raises ValueError.

    Text from outside goes into one only where its form was checked: see `CliAccount`. It is not redacted: the path of
    a record may look like a key.
    """

    code: str

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.code) or not self.code.isprintable() or _INVISIBLE.search(self.code):
            raise ValueError("code is 1 to 2000 visible characters without markup")

    def __str__(self) -> str:
        """Return the code as mere text."""
        return self.code


@dataclass(frozen=True, slots=True, repr=False)
class Foreign:
    """Text from outside. Wherever it is formatted, its harmless form stands: `f"Reported by {Foreign(source)}."`.

    At most `limit` characters of it are shown, so that it can't push out what follows.
    """

    text: str
    _: KW_ONLY
    limit: int = 300

    def __str__(self) -> str:
        """Return the harmless form."""
        return clean(self.text, limit=self.limit)

    def __repr__(self) -> str:
        """Return the harmless form: the text may hold a secret."""
        return f"Foreign({str(self)!r})"


@dataclass(frozen=True, slots=True)
class RichText:
    """One or two sentences with code in them. Its other parts are harmless text, which may quote `Foreign`."""

    parts: tuple[str | Code, ...]

    @classmethod
    def of(cls, *parts: str | Code) -> Self:
        """Return the text of these parts, in their order. Text on both sides of a seam is cleaned together."""
        joined: list[str | Code] = []
        for part in parts:
            if isinstance(part, str) and joined and isinstance(joined[-1], str):
                joined[-1] += part
            else:
                joined.append(part)
        return cls(tuple(part if isinstance(part, Code) else _within(part) for part in joined))

    def format(self, **values: str) -> Self:
        """Return it with its placeholders filled, as `str.format` does. No value becomes code."""
        return self.of(*(part if isinstance(part, Code) else part.format(**values) for part in self.parts))

    def harmless(self) -> Self:
        """Return it with each text made harmless: what was read from storage need not be what `of` made."""
        return self.of(*self.parts)

    def __str__(self) -> str:
        """Return it as plain text, with its code between backticks: no other part holds one."""
        return "".join(f"`{part.code}`" if isinstance(part, Code) else part for part in self.harmless().parts)


type Line = str | RichText
"""What people read in one piece. In a `str`, nothing is code."""


def clean(text: str, *, limit: int = 1000) -> str:
    """Return `text` on one line, redacted and without links or code, at most `limit` characters.

    Invisible characters (line breaks, bidirectional marks, zero-width ones) become spaces *before* redacting,
    so that nothing hides behind them.
    """
    return _cut(_harmless(text), limit)


def defang(url: str, *, limit: int = 1000) -> str:
    """Return a URL or host name as text that no mail client makes a link of: hxxps://evil[.]example/path."""
    harmless = _harmless(url)
    match = _AUTHORITY.match(harmless)
    if match is not None:
        # Dots that stand between brackets already are left: cleaning twice is the same as once.
        host = re.sub(r"\.(?!\])", "[.]", match[2])
        harmless = _MARKDOWN_LINK.sub("] ", f"{match[1] or ''}{host}{harmless[match.end() :]}")
    return _cut(harmless, limit)


def inert(line: Line, *, limit: int = 1000) -> str:
    """Return `line` for a program that may take it for HTML, Markdown, wiki markup or a cell of a spreadsheet.

    Code stands between backticks. Everything else is as `clean` returns it, with quotation marks for "<>{}".
    """
    if isinstance(line, RichText):
        parts = (
            f"`{part.code}`" if isinstance(part, Code) else part.translate(_MARKUP) for part in line.harmless().parts
        )
        text = _cut("".join(parts), limit)
    else:
        text = clean(line, limit=limit).translate(_MARKUP)
    return f"'{text[: limit - 1]}" if text.startswith(_FORMULA) else text


def utc(moment: datetime) -> str:
    """Return "2026-11-21 10:00:05 UTC". `moment` knows its time zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _harmless(text: str) -> str:
    unlinked = _OPENS.sub(r"\1[:]", _SCHEME.sub(_defanged_scheme, redact(_visible(text[:LONGEST]))))
    unlinked = _UNC.sub(r"\\ ", _WWW.sub("www[.]", unlinked))
    return _MARKDOWN_LINK.sub("] ", unlinked)


def _visible(text: str) -> str:
    """Return `text` on one line, with a space for each character that has no shape, and without backticks."""
    if not text.isascii():
        text = _few_marks(_INVISIBLE.sub(" ", text))
    return " ".join("".join(char if char.isprintable() else " " for char in text).split()).replace("`", "'")


def _few_marks(text: str) -> str:
    """Return `text` without the marks that are stacked on one character to cover other lines."""
    kept, marks = [], 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        if marks <= _MOST_MARKS:
            kept.append(char)
    return "".join(kept)


def _within(part: str) -> str:
    """Return a part of a longer text as `clean` does, with the spaces at its ends."""
    cleaned = clean(part, limit=LONGEST)
    if not cleaned:
        return " " if part else ""
    return f"{' ' if part[0].isspace() else ''}{cleaned}{' ' if part[-1].isspace() else ''}"


def _defanged_scheme(match: re.Match[str]) -> str:
    scheme = match[1].lower()
    if scheme in ("http", "https", "hxxp", "hxxps"):  # the last two were defanged before
        return f"hxx{scheme[3:]}:"
    return f"{scheme}[:]"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
