"""Find SAS tokens in one reading of a text: in URLs, in connection strings, and loose."""

import base64
import binascii
import re
from collections.abc import Iterator

from .classify import kind_of
from .connections import Connection, find_connections
from .credential import Credential, InvalidCredential, is_plain
from .fingerprint import signature_sha256
from .hosts import is_host, locate, with_service
from .kinds import SIGNED_RESOURCES, SNAPSHOT_TIME, TOKEN_PARAMETERS, Service
from .mentions import Mention, Mentions
from .normalize import percent_decoded

# What may stand in a URL, written as people and programs write it; an apostrophe may (OData keys), a quote may not.
_RUN = re.compile(r"[^\s\"<>`\\{}|^\x00-\x1f]{43,}")
_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:[^/?#@]{0,256}@)?(?P<host>\[[0-9a-fA-F:.]{2,45}\]|[^/?#:@\[\]]{1,255})(?::[0-9]{0,5})?(?=[/?#]|$)")
_BARE_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9.-]{3,255})(?::[0-9]{1,5})?(?P<path>/[^?]*)?\?+$")
_NAMES = "|".join(sorted(TOKEN_PARAMETERS | {"sig"}, key=len, reverse=True))
_FIRST_NAME = re.compile(rf"(?<![A-Za-z0-9_%-])(?=(?:{_NAMES})=)")
_SIGNATURE = re.compile(r"(?:[A-Za-z0-9+/]|%[0-9a-fA-F]{2}){43,}+={0,2}")
_BASE64_OF_32 = re.compile(r"[A-Za-z0-9+/]{43}=?")
_TRAILING = ".,;:!?)]}>*'~"
_PERCENT = r"%[0-9a-fA-F]{2}"
# How far a value goes when the text goes on behind it without a space; others end at the next "&".
_VALUES = {
    name: re.compile(rf"(?:{pattern}|{_PERCENT})*")
    for names, pattern in (
        ("sv skv", r"[0-9-]"),
        ("st se skt ske", r"[0-9TZtz:.+-]"),
        ("sp ss srt sr sks", r"[A-Za-z]"),
        ("sip", r"[0-9a-fA-F.:-]"),
        ("tn sdd", r"[A-Za-z0-9]"),
        ("skoid sktid saoid suoid scid sduoid skdutid", r"[0-9A-Za-z-]"),
        ("spr", r"https?(?:,(?=http))?"),
    )
    for name in names.split()
}


def find_tokens(view: str, mentions: Mentions) -> Iterator[tuple[int, Credential]]:
    """Yield the tokens in `view` with the positions of their signatures."""
    for run in _RUN.finditer(view):
        if "sig=" in run[0]:
            yield from _in_run(run[0], run.start(), mentions)


def _in_run(run: str, offset: int, mentions: Mentions) -> Iterator[tuple[int, Credential]]:
    connections = list(find_connections(run))
    starts = [match.start() for match in _SCHEME.finditer(run)]
    for start, end in zip([0, *starts], [*starts, len(run)], strict=True):
        piece = run[start:end]
        position = piece.find("sig=")
        if position < 0:
            continue
        credential = _in_connection(piece, start, connections)
        if credential is None:
            opened = start > 0 and run[start - 1] == "'"
            credential = _in_url(piece, opened=opened) if start or starts[:1] == [0] else None
        if credential is None:
            credential = _loose(piece, mentions)
        if credential is not None:
            yield offset + start + position, credential
