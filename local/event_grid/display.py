"""Event data as people may see it: without the credentials of Azure Storage that it can contain."""

import re
from typing import Any

WITHHELD = "(withheld)"
_REDACTED = "REDACTED"
_WITHHELD_NAMES = frozenset({"secret", "sig", "data_base64"})

_VALUE = r"[^&\s\"'<>;,\\)}\]]+"  # ends where a value ends in a URL, in JSON or in a connection string
_BASE64 = r"(?:[A-Za-z0-9+/]|%(?:25)*2[bBfF])"  # one character, percent-encoded any number of times
_PADDING = r"(?:=|%(?:25)*3[dD])"
_START = r"(?:(?<![A-Za-z0-9+])|(?<=%[0-9A-Fa-f]{2}))"
_CREDENTIALS = (
    (re.compile(rf"""(?i)(?<![a-z])(sig(?:["']?\s*[:=]\s*["']?|%(?:25)*3d)){_VALUE}"""), rf"\1{_REDACTED}"),
    (re.compile(r"(?i)(sharedaccesssignature\s*=\s*)[^;\"'\s]+"), rf"\1{_REDACTED}"),
    (re.compile(rf"(?i)((?:account|access|shared)_?key[\"']?\s*[:=]\s*[\"']?){_VALUE}"), rf"\1{_REDACTED}"),
    # By shape: an account key (64 bytes in base64, perhaps without padding), a signature (32 bytes).
    (re.compile(rf"{_START}{_BASE64}{{86}}(?:{_PADDING}{{2}}|(?![A-Za-z0-9+/=%]))"), _REDACTED),
    (re.compile(rf"{_START}{_BASE64}{{43}}{_PADDING}(?![A-Za-z0-9+/=])"), _REDACTED),
)


def clean(value: Any) -> Any:
    """Return a copy of a JSON value without credentials.

    The value of a member named `secret`, `sig` or `data_base64` is withheld. In every other text, names included,
    what looks like a credential is replaced.
    """
    if isinstance(value, dict):
        return {
            _redact(name): WITHHELD if name.lower() in _WITHHELD_NAMES else clean(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [clean(inner) for inner in value]
    return _redact(value) if isinstance(value, str) else value


def _redact(text: str) -> str:
    for pattern, replacement in _CREDENTIALS:
        text = pattern.sub(replacement, text)
    return text
