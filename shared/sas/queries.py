"""Where the parameters of a token stand in a reading of a text: the names and values around a signature.

In most texts they are one run without spaces. A run goes on over spaces where a value or a path may hold them, in
quotes or in a line of its own. Parameters may also stand one by one: as arguments, as a printed map, in a file of
settings.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .hosts import locate, split_url
from .values import FREE_TEXT, KNOWN

# What a URL may hold, as people and programs write it: an apostrophe, yes (OData keys), a quotation mark, no.
_STOPS = b'"<>`\\{}|^\x7f\x85\xa0' + bytes(range(33))
_STOPPED = bytes(ord(" ") if byte in _STOPS else byte for byte in range(256))
_SIGNED = re.compile(r"sig=[A-Za-z0-9+/%]{43}")
_SCHEME = re.compile(r"(?:https?|wasbs?|abfss?)://", re.IGNORECASE)
_ENTITY_KEY = re.compile(r"\((?:[A-Za-z]+=)?'[^']*'(?:,[A-Za-z]+='[^']*')*\)")

_NAMES = "|".join(sorted(KNOWN | {"sig"}, key=len, reverse=True))
_FIRST_NAME = re.compile(rf"(?<![A-Za-z0-9_%-])(?=(?:{_NAMES})=)")
_NESTED = re.compile(rf"[?&][A-Za-z0-9_.-]{{1,40}}=\??(?P<raw>RAW\()?\??(?=(?:{_NAMES})=)")

# A value with spaces that began before a run, and a path with spaces that did.
_OPEN_VALUE = re.compile(
    rf"(?:\A|[?&\s\"'=(])(?P<start>\S*[?&](?:{'|'.join(sorted(FREE_TEXT))})=(?:[^&?\"'<>]|''){{0,300}})\Z"
)
_OPEN_START = re.compile(rf"(?P<start>\b(?:{'|'.join(sorted(FREE_TEXT))})=(?:[^&?\"'<>]|''){{0,300}})\Z")
_OPEN_PATH = re.compile(
    r"(?P<start>(?:https?|wasbs?|abfss?)://[^\s\"'<>?#]{3,300}/[^\"<>?#]{0,1024})\Z", re.IGNORECASE
)
_REST_OF_VALUE = re.compile(r"[^&\"'<>\n\r=]{1,300}(?=[\"'&])(?:&[^\s\"<>`]*)?")
_BARE_HOST = re.compile(r"(?<![A-Za-z0-9.%$-])[A-Za-z0-9.-]{3,253}(?=(?::[0-9]{1,5})?[/?])")
_REACH = 2500  # characters before a run in which its beginning is searched
_MOST_SPACES = 12

# Parameters one by one: `"sv", "2022-11-02"`, `sv==2022-11-02`, `sv:[2022-11-02]`, `sv: 2022-11-02`.
_ONE = re.compile(
    rf"(?P<quote>[\"'])?(?<![A-Za-z0-9_%&?.-])(?P<name>{_NAMES})(?P<closed>[\"'])?\]?"
    r"\s{0,4}(?:==|=>|[=:,])\s{0,4}(?P<open>[\"'\[])?"
    r"(?P<value>(?(open)[^\"'\]\n\r<>]|[^\"'\s,;\[\]{}()<>&]){1,300})"
)
_CLOSING_QUOTE = re.compile(r"(?<!')'(?!')")  # YAML doubles one inside of a text
_FIRST_OF_SIGNATURE = re.compile(r"[A-Za-z0-9+/%]{43}")
_SIGNED_ALONE = re.compile(r"sig[\"']?\]?\s{0,4}(?:==|=>|[=:,])\s{0,4}[\"'\[]?[A-Za-z0-9+/%]{43}")
_AROUND = 2000  # characters around a signature in which the other parameters are searched
_APART = 400  # characters between two parameters of one token

# The extent of a last value when text follows it; other values extend to a comma, a space or a quote.
_LAST_VALUE = {
    name: re.compile(pattern)
    for names, pattern in (
        ("sv skv", r"[0-9-]*"),
        ("st se skt ske snapshot versionid", r"(?:[0-9TZ:.+-]|%(?:25)*(?:3[aA]|2[bBdDeE]))*"),
        ("sp ss srt sr sks", r"[A-Za-z]*"),
        ("sip", r"[0-9a-fA-F.:-]*"),
        ("srh srq", r"[A-Za-z0-9_.,%-]*"),
        ("tn sdd", r"(?:\$|%(?:25)*24)?[A-Za-z0-9]*"),
        ("skoid sktid saoid suoid scid sduoid skdutid", r"[0-9A-Za-z-]*"),
        ("sig", r"(?:[A-Za-z0-9+/]|%(?:25)*2[bBfF])*+(?:=|%(?:25)*3[dD])?"),
        ("spr", r"https?(?:(?:,|%(?:25)*2[cC])https?)?"),
    )
    for name in names.split()
}
_TRAILING_MARKS = ".,;:!?)]*'~\u2019\u201d\u00bb\u2026\u200b\ufeff\u3001\u3002\uff09\uff0c"


@dataclass(frozen=True, slots=True)
class Query:
    """A token's parameters as written, by name, and the text before its "?", as written.

    `host` and `path` are those of its URL; without one `host` is None, and `before` the text in front of the query.
    `ends` is where it ends in the text, for what may go on in the next line. `spaced`: it has spaces that may be none
    of its own.
    """

    at: int
    ends: int
    raw: dict[str, str]
    host: str | None
    path: str
    before: str
    spaced: bool = False


def find_queries(view: str) -> Iterator[Query]:
    """Yield the queries in `view` that hold a signature; the likeliest reading of each first."""
    data = view.encode("latin-1", errors="replace").translate(_STOPPED)
    end = 0
    at = view.find("sig=")
    while at >= 0:
        if at >= end:
            begin = data.rfind(b" ", end, at) + 1 or end
            end = data.find(b" ", at)
            end = len(data) if end < 0 else end
            if _SIGNED.search(view, begin, end):
                yield from _in_run(view, begin, end)
        at = view.find("sig=", at + 4)


def scattered(view: str) -> Iterator[Query]:
    """Yield the queries whose parameters stand one by one."""
    done = 0
    at = view.find("sig")
    while at >= 0:
        if at >= done and _SIGNED_ALONE.match(view, at):
            done = min(at + _AROUND, len(view))
            yield from _scattered(view, max(at - _AROUND, 0), done)
        at = view.find("sig", at + 3)


def _scattered(view: str, begin: int, end: int) -> Iterator[Query]:
    found = list(_ONE.finditer(view, begin, end))
    for index, match in enumerate(found):
        if match["name"] != "sig" or not _FIRST_OF_SIGNATURE.match(match["value"]):
            continue
        first = last = index
        names = {"sig"}
        while first and _belongs(found[first - 1], found[first], names):
            first -= 1
        while last + 1 < len(found) and _belongs(found[last], found[last + 1], names, forward=True):
            last += 1
        raw = {each["name"]: _one_value(view, each) for each in found[first : last + 1]}
        yield Query(match.start(), found[last].end(), raw, None, "", "")


def read(query: str, *, quoted: bool) -> dict[str, str]:
    """Return a query's values by name: split, never `parse_qs`, which turns the "+" of a signature into a space."""
    query = query.partition("#")[0].partition(";")[0]
    if quoted:
        query = _CLOSING_QUOTE.split(query, maxsplit=1)[0]
    pairs = re.split("[&?]", query)
    raw: dict[str, str] = {}
    for index, pair in enumerate(pairs):
        name, equals, value = pair.partition("=")
        if equals and name not in raw:
            raw[name] = _trimmed(name, value) if index == len(pairs) - 1 else value
    return raw


def _in_run(view: str, begin: int, end: int) -> Iterator[Query]:
    """Read a text without spaces; where it holds several URLs, each goes on to where the next begins."""
    run = view[begin:end]
    starts = [match.start() for match in _SCHEME.finditer(run)]
    for start, stop in itertools.pairwise([0, *starts, len(run)]):
        piece = run[start:stop]
        if not _SIGNED.search(piece):
            continue
        at = begin + start
        if start == 0 and not starts:
            at, sure = _with_spaces(view, at, piece)
            if at < begin:
                piece = view[at : begin + stop]
                if not sure:
                    yield _query(view, begin, run[:stop])
        tail = _REST_OF_VALUE.match(view, end) if stop == len(run) and _may_go_on(view, at, end, piece) else None
        yield _query(view, at, piece + tail[0] if tail else piece, spaced=at < begin or tail is not None)


def _with_spaces(view: str, begin: int, piece: str) -> tuple[int, bool]:
    """Return where a query begins that has spaces, and whether that is certain, because it stands in quotes."""
    line = max(view.rfind("\n", max(begin - _REACH, 0), begin) + 1, begin - _REACH, 0)
    at, sure = begin, True
    for _ in range(_MOST_SPACES):
        if at == line or not view[at - 1].isspace():
            break
        left = view[line:at]
        first = piece.partition("&")[0]
        if "?" not in first and "=" not in first:
            found = _OPEN_VALUE.search(left) or _OPEN_START.search(left)
        elif "?" in first and "://" not in first:
            found = _OPEN_PATH.search(left)
            if found is not None:
                start = found.start("start")
                sure = view[start - 1 : start] in ('"', "'")
        else:
            break
        if found is None:
            break
        at = line + found.start("start")
        piece = view[at:begin] + piece
    for scheme in _SCHEME.finditer(view, at, begin):  # a URL in the query of another one
        at = scheme.start()
    return at, sure


def _may_go_on(view: str, at: int, end: int, piece: str) -> bool:
    """Whether the last value of a query in quotes may go on behind a space."""
    if view[end : end + 1] != " " or view[at - 1 : at] not in ('"', "'"):
        return False
    return re.split("[&?]", piece)[-1].partition("=")[0] in FREE_TEXT


def _query(view: str, at: int, piece: str, *, spaced: bool = False) -> Query:
    """Return the query in `piece`, which begins at `at`."""
    ends = at + len(piece)
    nested = _NESTED.search(piece)
    if nested:
        at += nested.end()
        piece = piece[nested.end() :]
        if nested["raw"]:
            piece = piece.partition(")")[0]
    quoted = view[max(at - 1, 0) : at] == "'"
    address, question, query = piece.partition("?")
    host, path = split_url(address)
    if host and question and not (quoted and "'" in _ENTITY_KEY.sub("", address)):
        return Query(at, ends, read(query, quoted=quoted), host, path, "", spaced)
    first = _FIRST_NAME.search(piece)
    if first is None:
        return Query(at, ends, {}, None, "", "")
    before = piece[: first.start()]
    quoted = before.removesuffix("?").endswith("'") or (quoted and not before)
    if before.endswith("&"):  # other parameters of the request
        before = before[: before.find("?") + 1]
    return Query(at, ends, read(piece[first.start() :], quoted=quoted), None, "", before, spaced)


def _one_value(view: str, match: re.Match[str]) -> str:
    """Return a value that stands alone, up to the quote that was opened before its name, if one was."""
    value = match["value"]
    if match["quote"] and not match["closed"] and not match["open"]:
        end = view.find(match["quote"], match.start("value"), match.start("value") + 400)
        if end >= 0:
            value = view[match.start("value") : end]
    return value.strip()


def _belongs(one: re.Match[str], next_: re.Match[str], names: set[str], *, forward: bool = False) -> bool:
    if next_.start() - one.end() > _APART:
        return False
    name = next_["name"] if forward else one["name"]
    if name in names:
        return False
    names.add(name)
    return True


def _trimmed(name: str, value: str) -> str:
    pattern = _LAST_VALUE.get(name)
    match = pattern.match(value) if pattern else None
    return (match[0] if match else value.partition(",")[0]).rstrip(_TRAILING_MARKS)


def host_before(before: str) -> tuple[str, str] | None:
    """Return the host and the path of a URL without its scheme that ends `before`, None where there is none."""
    address = before[-_REACH:]
    address = address[address.rfind("'") + 1 :]
    hosts = [match for match in _BARE_HOST.finditer(address) if locate(match[0].lower(), None).account]
    if not hosts:
        return None
    return hosts[-1][0].lower(), address[hosts[-1].end() :].partition("/")[2].rstrip("?")
