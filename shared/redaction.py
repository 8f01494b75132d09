"""Keeps credentials out of logs: every log record of the process is cleaned when it is made.

A filter on a logger does not see what other loggers' records say, and one on a handler misses handlers that come
later (the Functions worker adds its own). A log record factory sees them all, tracebacks included.
"""

import logging
import re
import traceback
from collections.abc import Callable
from typing import Any

REDACTED = "REDACTED"

# A value ends at what ends it in a URL, in JSON, in a connection string or in a log line.
_VALUE = r"""[^&\s"'<>;,\\)}\]]"""
_BASE64 = r"(?:[A-Za-z0-9+/]|%(?:25)*2[bBfF])"  # one character, percent-encoded as often as may be
_PAD = r"(?:=|%(?:25)*3[dD])"
_START = r"(?:(?<![A-Za-z0-9+])|(?<=%[0-9A-Fa-f]{2}))"  # "/" and "%3D" may stand before one
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # sig=…, "sig": "…", %26sig%3D…
    (re.compile(rf"""(?i)(?<![a-z])(sig(?:["']?\s*[:=]\s*["']?|%(?:25)*3d)){_VALUE}+"""), rf"\1{REDACTED}"),
    (re.compile(r"(?i)(sharedaccesssignature\s*=\s*)[^;\"'\s]+"), rf"\1{REDACTED}"),
    (re.compile(rf"(?i)((?:account|access|shared)_?key[\"']?\s*[:=]\s*[\"']?){_VALUE}+"), rf"\1{REDACTED}"),
    (re.compile(r"(?i)(sharedkey(?:lite)?\s+[a-z0-9-]+:)\S+"), rf"\1{REDACTED}"),
    (re.compile(r"(?i)(bearer\s+)[a-z0-9._~+/=-]{20,}"), rf"\1{REDACTED}"),
    (re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), REDACTED),
    # By its looks: a storage account key (64 bytes in base64), its padding perhaps lost; a signature (32 bytes).
    (re.compile(rf"{_START}{_BASE64}{{86}}(?:{_PAD}{{2}}|(?![A-Za-z0-9+/=%]))"), REDACTED),
    (re.compile(rf"{_START}{_BASE64}{{43}}{_PAD}(?![A-Za-z0-9+/=])"), REDACTED),
)


def redact(text: str) -> str:
    """Return `text` with everything that looks like a credential replaced by REDACTED."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def install() -> None:
    """Clean every log record of this process from now on, and quiet the SDKs' request logging. Idempotent."""
    current = logging.getLogRecordFactory()
    if not isinstance(current, _CleaningFactory):
        logging.setLogRecordFactory(_CleaningFactory(current))
    for chatty in ("azure", "msal", "httpx", "httpcore", "aiohttp", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _CleaningFactory:
    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info and record.exc_info[0] is not None:
            # As text only: exporters that walk exc_info themselves would read the exception uncleaned.
            record.exc_text = redact("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
            record.exc_info = None
        return record
