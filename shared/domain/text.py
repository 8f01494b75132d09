"""Makes text from outside fit to be shown: no secrets, no control characters, nothing that becomes a link."""

import re
from datetime import UTC, datetime

from shared.redaction import redact

# Far more than is ever shown of one text; bounds the work that hostile input can ask for.
_LONGEST = 8000
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,30}):(?=//)", re.IGNORECASE)  # RFC 3986 section 3.1
_AUTHORITY = re.compile(r"([a-z]+://)?([^/?#\s]*)", re.IGNORECASE)
# Outlook makes a link of \\server\share, and opening it sends a password hash to the server.
_UNC = re.compile(r"\\(?=\\)")
_WWW = re.compile(r"www\.", re.IGNORECASE)


def clean(text: str, *, limit: int = 1000) -> str:
    """Return `text` on one line, redacted and without links or commands, at most `limit` characters.

    Invisible characters (line breaks, bidirectional marks, zero-width ones) become spaces *before* redacting,
    so that nothing hides behind them.
    """
    return _cut(_harmless(text).replace("`", "'"), limit)


def prose(text: str, *, limit: int = 1000) -> str:
    """Return a sentence of ours as `clean` does, but for its commands, which stand between backticks."""
    return _cut(_harmless(text), limit)


def defang(url: str, *, limit: int = 1000) -> str:
    """Return a URL or host name as text that no mail client makes a link of: hxxps://evil[.]example/path."""
    harmless = _harmless(url)
    match = _AUTHORITY.match(harmless)
    if match is not None:
        harmless = f"{match[1] or ''}{match[2].replace('.', '[.]')}{harmless[match.end() :]}"
    return _cut(harmless, limit)


def utc(moment: datetime) -> str:
    """Return "2026-11-21 10:00:05 UTC". `moment` knows its time zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _harmless(text: str) -> str:
    visible = " ".join("".join(char if char.isprintable() else " " for char in text[:_LONGEST]).split())
    unlinked = _WWW.sub("www[.]", _SCHEME.sub(_defanged_scheme, redact(visible)))
    return _UNC.sub(r"\\ ", unlinked)


def _defanged_scheme(match: re.Match[str]) -> str:
    scheme = match[1].lower()
    return f"hxx{scheme[3:]}:" if scheme in ("http", "https") else f"{scheme}[:]"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
