"""Finds SAS tokens in one reading of a text: in URLs, in connection strings, and without either."""

import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .classify import kind_of
from .connections import Connection
from .credential import Credential, InvalidCredential, is_plain
from .fingerprint import signature_sha256
from .hosts import locate, split_url, with_service
from .kinds import SNAPSHOT_TIME, TOKEN_PARAMETERS, Service
from .leak import Leak, leaked_token
from .mentions import Mention, Mentions
from .normalize import percent_decoded

# What a URL may hold, as people and programs write it: an apostrophe, yes (OData keys), a quotation mark, no.
_RUN = re.compile(r"[^\s\"<>`\\{}|^\x00-\x1f]{43,}+")
_SIGNED = re.compile(r"sig=[A-Za-z0-9+/%]{43}")
_SCHEME = re.compile(r"(?:https?|wasbs?|abfss?)://", re.IGNORECASE)
_ENTITY_KEY = re.compile(r"\((?:[A-Za-z]+=)?'[^']*'(?:,[A-Za-z]+='[^']*')*\)")
_BARE_HOST = re.compile(r"(?<![A-Za-z0-9.-])[A-Za-z0-9.-]{3,253}(?=(?::[0-9]{1,5})?[/?])")
_BARE_REACH = 2500  # characters before a query in which its host is searched

_KNOWN = TOKEN_PARAMETERS | set(SNAPSHOT_TIME.values())
_FIRST_NAME = re.compile(rf"(?<![A-Za-z0-9_%-])(?=(?:sig|{'|'.join(sorted(TOKEN_PARAMETERS))})=)")
_NESTED = re.compile(rf"[?&][A-Za-z0-9_.-]{{1,40}}=\??(?=(?:sig|{'|'.join(sorted(TOKEN_PARAMETERS))})=)")
_BASE64_OF_32_BYTES = re.compile(r"[A-Za-z0-9+/]{43}=?")
_FEWEST_MARKS = 12  # different characters in a signature; with fewer it is a placeholder
_MOST_LAYERS = 4  # of percent-encoding

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
class _Token:
    """A token's decoded parameters without `sig`, its signature, and how often it was percent-encoded."""

    parameters: Mapping[str, str]
    signature: str
    layers: int


def find_tokens(view: str, connections: Sequence[Connection], mentions: Mentions) -> Iterator[tuple[int, Leak]]:
    """Yield the tokens in `view` and where they are."""
    rest = []
    done = 0
    for connection in connections:
        token = _read(connection.token, quoted=False)
        if token is None:
            continue
        if not connection.foreign:
            near = connection if connection.host else mentions.of_token(connection.start)
            yield from _at(connection.token_at, _beside(token, near))
        rest += [view[done : connection.token_at], " "]
        done = connection.token_at + len(connection.token)
    view = "".join([*rest, view[done:]])
    for run in _RUN.finditer(view):
        if _SIGNED.search(run[0]):
            yield from _in_run(run[0], run.start(), mentions)


def _in_run(run: str, offset: int, mentions: Mentions) -> Iterator[tuple[int, Leak]]:
    """Read a text without spaces; where it holds several URLs, each goes on to where the next begins."""
    starts = [match.start() for match in _SCHEME.finditer(run)]
    for start, end in itertools.pairwise([0, *starts, len(run)]):
        piece = run[start:end]
        if not _SIGNED.search(piece):
            continue
        nested = _NESTED.search(piece)
        if nested:
            piece = piece[nested.end() :]
        quoted = run[max(start - 1, 0) : start] == "'"
        address, question, query = piece.partition("?")
        host, path = split_url(address)
        if host and question and not (quoted and "'" in _ENTITY_KEY.sub("", address)):
            token = _read(query, quoted=quoted)
            yield from _at(offset + start, _leak(token, host=host, path=path) if token else None)
        else:
            leak = _bare(piece, mentions.of_token(offset + start))
            yield from _at(offset + start, leak)
            yield from _at_paths_near(offset + start, leak, mentions)


def _at(position: int, leak: Leak | None) -> Iterator[tuple[int, Leak]]:
    if leak is not None:
        yield position, leak


def _at_paths_near(position: int, leak: Leak | None, mentions: Mentions) -> Iterator[tuple[int, Leak]]:
    """Read a token that lacks its path, where the text gives its account several, at each of them."""
    if leak is None or leak.credential.host is None or leak.credential.path is not None:
        return
    for mention in mentions.paths_near(position):
        if mention.host == leak.credential.host:
            yield position, Leak(replace(leak.credential, path=mention.path), leak.token)


def _bare(piece: str, near: Mention | None) -> Leak | None:
    """Read a token without a URL, or one whose URL lacks "https://"."""
    first = _FIRST_NAME.search(piece)
    if first is None:
        return None
    before = piece[: first.start()]
    token = _read(piece[first.start() :], quoted=before.removesuffix("?").endswith("'"))
    if token is None:
        return None
    if before.endswith("?"):
        address = before[-_BARE_REACH:]
        address = address[address.rfind("'") + 1 :]
        hosts = [match for match in _BARE_HOST.finditer(address) if locate(match[0].lower(), None).account]
        if hosts:
            path = address[hosts[-1].end() :].partition("/")[2].rstrip("?")
            return _leak(token, host=hosts[-1][0].lower(), path=path)
        if before.startswith("/"):  # as in the first line of a request, whose host is in another line
            return _beside(token, near, path=before[1:-1])
    return _beside(token, near)


def _beside(token: _Token, near: Connection | Mention | None, *, path: str | None = None) -> Leak | None:
    """Give a token the address that stands beside it, if any, with the host of its own service, or its own `path`."""
    alone = _leak(token, host=None, path="")
    if alone is None or near is None or near.host is None:
        return alone
    service = alone.credential.service
    host = near.host if service in (None, Service.MULTIPLE) else with_service(near.host, service)
    if path is None:
        path = (near.path or "") if host == near.host else ""
    return _leak(token, host=host, path=path)


def _read(query: str, *, quoted: bool) -> _Token | None:
    """Read a query as a token: split, never `parse_qs`, which would turn the "+" of a signature into a space."""
    query = query.partition("#")[0].partition(";")[0]
    if quoted:
        query = query.partition("'")[0]
    pairs = re.split("[&?]", query)
    raw: dict[str, str] = {}
    for index, pair in enumerate(pairs):
        name, equals, value = pair.partition("=")
        if equals and name not in raw:
            raw[name] = _trimmed(name, value) if index == len(pairs) - 1 else value
    signature = _signature(raw.get("sig", ""))
    if signature is None or "skn" in raw:  # a key's name, in tokens of Service Bus and IoT Hub
        return None
    text, layers = signature
    return _Token({name: _decoded(value, layers) for name, value in raw.items() if name in _KNOWN}, text, layers)


def _trimmed(name: str, value: str) -> str:
    pattern = _LAST_VALUE.get(name)
    match = pattern.match(value) if pattern else None
    return (match[0] if match else value.partition(",")[0]).rstrip(_TRAILING_MARKS)


def _signature(raw: str) -> tuple[str, int] | None:
    """Return the signature's base64 text and how often it was percent-encoded; None unless it holds 32 bytes.

    A missing "=" at the end is added: an attacker would add it, too.
    """
    text = raw
    for layers in range(_MOST_LAYERS + 1):
        if _BASE64_OF_32_BYTES.fullmatch(text):
            return (text.rstrip("=") + "=", layers) if len(set(text)) >= _FEWEST_MARKS else None
        text = percent_decoded(text)
    return None


def _decoded(text: str, layers: int) -> str:
    """Decode as often as the signature needed it, and once where it was written without any encoding."""
    for _ in range(max(layers, 1)):
        text = percent_decoded(text)
    return text


def _leak(token: _Token, *, host: str | None, path: str) -> Leak | None:
    """Return the leak; `path` is as written. None when no storage service would accept it."""
    snapshot = SNAPSHOT_TIME.get(token.parameters.get("sr", ""))
    parameters = {
        name: value for name, value in token.parameters.items() if name in TOKEN_PARAMETERS or name == snapshot
    }
    kind = kind_of(parameters, host=host)
    if kind is None:
        return None
    decoded = _decoded(path, token.layers)
    with contextlib.suppress(InvalidCredential):
        credential = Credential(
            kind=kind,
            host=host,
            path=decoded if decoded and is_plain(decoded) else None,
            parameters=tuple(sorted(parameters.items())),
            signature_sha256=signature_sha256(token.signature),
            key_sha256=None,
        )
        return leaked_token(credential, token.signature)
    return None
