"""Keeps credentials out of logs: every log record of the process is redacted when it is created.

A filter on a logger misses the records of other loggers, and one on a handler misses handlers that are added later
(the Functions worker adds its own). A log record factory gets all records, tracebacks included.
"""

import logging
import re
import string
import traceback
from collections.abc import Callable
from typing import Any

REDACTED = "REDACTED"
LONGEST = 65_536  # characters of one text
_LONGEST_SECRET = 2_048  # characters: a key with each character percent-encoded three times has 700
_OF_A_SECRET = string.ascii_letters + string.digits + "+/=%_-.~"

# A value ends at a delimiter of a URL, of JSON, of a connection string or of a log line.
_VALUE = r"""[^&\s"'<>;,\\)}\]]"""
_BASE64 = r"(?:[A-Za-z0-9+/]|%(?:25)*2[bBfF])"  # one character, percent-encoded any number of times
_PAD = r"(?:=|%(?:25)*3[dD])"
_START = r"(?:(?<![A-Za-z0-9+])|(?<=%[0-9A-Fa-f]{2}))"  # "/" and "%3D" may precede one
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # sig=…, "sig": "…", %26sig%3D…
    (re.compile(rf"""(?i)(?<![a-z])(sig(?:["']?\s*[:=]\s*["']?|%(?:25)*3d)){_VALUE}+"""), rf"\1{REDACTED}"),
    (re.compile(r"(?i)(sharedaccesssignature\s*=\s*)[^;\"'\s]+"), rf"\1{REDACTED}"),
    (re.compile(rf"(?i)((?:account|access|shared)_?key[\"']?\s*[:=]\s*[\"']?){_VALUE}+"), rf"\1{REDACTED}"),
    (re.compile(r"(?i)(sharedkey(?:lite)?\s+[a-z0-9-]+:)\S+"), rf"\1{REDACTED}"),
    (re.compile(r"(?i)(bearer\s+)[a-z0-9._~+/=-]{20,}"), rf"\1{REDACTED}"),
    (re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), REDACTED),
    # By its form: a storage account key (64 bytes in base64), perhaps without its padding; a signature (32 bytes).
    (re.compile(rf"{_START}{_BASE64}{{86}}(?:{_PAD}{{2}}|(?![A-Za-z0-9+/=%]))"), REDACTED),
    (re.compile(rf"{_START}{_BASE64}{{43}}{_PAD}(?![A-Za-z0-9+/=])"), REDACTED),
)


def redact(text: str) -> str:
    """Return `text` with everything that looks like a credential replaced by REDACTED.

    Text beyond LONGEST characters is left out: nobody reads it, and its sender must not choose how long this takes.
    """
    if len(text) > LONGEST:
        text = _beginning(text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _beginning(text: str) -> str:
    """Return the beginning of a long text, without a credential of which a part was cut off.

    Such a part might not look like a credential any more.
    """
    kept, last = text[: LONGEST - _LONGEST_SECRET], text[LONGEST - _LONGEST_SECRET : LONGEST]
    return f"{kept}{last.rstrip(_OF_A_SECRET)} … ({len(text):,} characters)"


def install() -> None:
    """Redact every log record of this process from now on, and silence the SDKs' request logs. Idempotent."""
    current = logging.getLogRecordFactory()
    if not isinstance(current, _RedactingFactory):
        logging.setLogRecordFactory(_RedactingFactory(current))
    for name in ("azure", "msal", "httpx", "httpcore", "aiohttp", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)


class _RedactingFactory:
    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info and record.exc_info[0] is not None:
            # As text only: exporters that read exc_info themselves would see the exception without redaction.
            record.exc_text = redact("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
            record.exc_info = None
        return record
