"""Checks that what people and their programs get holds no code, link or markup but our own."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Self

from shared.domain.message import Message

_TAGS = frozenset(
    {"html", "head", "meta", "title", "body", "table", "tr", "td", "div", "h1", "h2", "p", "ul", "ol", "li"}
    | {"code", "pre", "br", "a"}
)
_ATTRIBUTES = frozenset(
    {"lang", "charset", "name", "content", "style", "role", "cellpadding", "cellspacing", "border", "width"}
    | {"bgcolor", "align", "href"}
)
# What a program makes a link of: a scheme, a server's share, an address of Markdown.
_LINK = re.compile(
    r"\b(?!hxx)[a-z][a-z0-9+.-]*://|\bwww\.\w|\\\\|\]\(|\]\[|\b(?:mailto|javascript|tel|ms-word|search-ms):\S",
    re.IGNORECASE,
)


def is_ours(code: str) -> bool:
    """Whether `code` is a command of the Azure CLI, a request to the API or a plan's digest."""
    request = re.fullmatch(r"POST /api/revocations/[0-9a-f]{64}/(approve|reject|retry|undo-lockdown)", code)
    listing = re.fullmatch(r"GET /api/revocations\?state=[a-z_]+", code)
    if request is not None or listing is not None or re.fullmatch(r"[0-9a-f]{64}", code):
        return True
    without_date = code.replace("$(date -u -d '+1 hour' +%Y-%m-%dT%H:%MZ)", "2026")
    words = shlex.split(without_date)
    return words[:2] == ["az", "storage"] and not re.search(r"[`$|&;<>\n]", " ".join(words).replace("$web", ""))


@dataclass
class Page(HTMLParser):
    """A mail as a mail program parses it. `styled` has each text after the style of the tag before it."""

    html: str
    tags: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    styled: list[tuple[str, str]] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _style: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        self.close()

    @classmethod
    def of(cls, message: Message) -> Self:
        return cls(message.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._style = dict(attrs).get("style") or ""
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        if tag in ("code", "pre", "a"):
            self._open.append(tag)
            self.text.append(" ")
            if tag != "a":
                self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self.styled.append((self._style, data))
        if self._open and self._open[-1] != "a":
            self.code[-1] += data
        elif not self._open:
            self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.tags.add(f"comment {data}")


def check_page(message: Message, *, links: set[str]) -> None:
    """Check that a mail is of our own HTML, with these links, our own code, and harmless text."""
    page = Page.of(message)
    assert page.tags <= _TAGS
    assert page.attributes <= _ATTRIBUTES
    assert set(page.links) <= links
    assert [code for code in page.code if not is_ours(code)] == []
    check_text("".join(page.text))
    assert message.subject.isprintable()
    assert len(message.subject) <= 200
    assert "`" not in message.subject


def check_text(text: str) -> None:
    """Check that a text holds no link, no code, and nothing that hides or reorders text."""
    assert _LINK.search(text) is None
    assert "`" not in text
    check_visible(text)


def check_visible(text: str) -> None:
    assert [char for char in text if not char.isprintable() and char != "\n"] == []
    assert not set("\ufe0f\u3164\u115f\u034f") & set(text)


def check_inert(text: str) -> None:
    """Check a text for programs that render HTML, Markdown or wiki markup, or open it as a spreadsheet."""
    parts = text.split("`")
    assert len(parts) % 2 == 1, "a box of code is not closed"
    codes, rest = parts[1::2], " ".join(parts[::2])
    assert [code for code in codes if not is_ours(code)] == []
    shown = [
        line for line in rest.split("\n") if not re.match(r"(Print the new key|Revoke manually): az storage ", line)
    ]
    check_text("\n".join(shown))
    assert not set("<>{}") & set("".join(shown))
    assert not text.startswith(("=", "+", "-", "@", "\t", "\r"))


def codes_in(value: object) -> Iterator[str]:
    """Yield what the console shows as code: the member of an object `{"code": …}`."""
    match value:
        case {"code": str(code)} if len(value) == 1:
            yield code
        case dict():
            for each in value.values():
                yield from codes_in(each)
        case list():
            for each in value:
                yield from codes_in(each)
