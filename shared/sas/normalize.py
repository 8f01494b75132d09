"""Undo what texts do to a credential on its way to us: escapes, encodings, wrapped lines.

`views` gives the same text in a few readings, the plainest first. A reading may be wrong for parts of the text; what
is found in it counts only if it is a whole credential. Every step is linear in the text's length.
"""

import base64
import binascii
import html
import re
from collections import deque
from collections.abc import Iterator

from .anchors import has_run

_MOST_VIEWS = 32  # of one text
_LAYERS = 4  # of encoding around a credential; deeper is not text that anyone leaks by accident

_ENTITY = re.compile(r"&(?:amp;)*(amp|lt|gt|quot|apos|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});")
_UNICODE_ESCAPES = re.compile(r"(?<!\\)(?:\\++u[0-9a-fA-F]{4})+")
_UNICODE_UNIT = re.compile(r"u([0-9a-fA-F]{4})")
_HEX_ESCAPE = re.compile(r"(?<!\\)\\++x([0-9a-fA-F]{2})")
_ESCAPED_LINE_END = re.compile(r"(?<!\\)(?:\\++r)?\\++n")
_DOUBLED_PERCENT = re.compile(r"%%(?=[0-9A-Fa-f]{2})")  # batch files, format strings
_QUOTED_AMPERSAND = re.compile(r"(?<=[A-Za-z0-9%/])([\"'])&\1(?=[a-z]{2,9}=)")  # shells of Windows
_ESCAPED_MARK = re.compile(r"(?<!\\)\\++([^\w\s\\])|[\^`](&|\$(?=[a-z]))")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
_TAG = re.compile(r"</?(?:wbr|span|b|i|em|strong|mark|font|u|code|a)(?:\s[^<>]{0,200})?/?>", re.IGNORECASE)
# A name and its value as two fields: Kubernetes, ARM, OpenTelemetry; attributes and elements of XML; objects with a
# value, as Terraform and Spring print them.
_PAIR = re.compile(
    r"(?P<q>[\"']?)\b(?:name|key)(?P=q)\s{0,4}[:=]\s{0,4}(?P<n>[\"']?)(?P<name>[A-Za-z0-9_.:-]{2,80})(?P=n)\s{0,40},?\s{0,40}"
    r"(?P=q)value(?P=q)\s{0,4}[:=]\s{0,4}(?:\{\s{0,20}\"[A-Za-z]{1,20}\"\s{0,4}:\s{0,4})?"
)
_OBJECT = re.compile(
    r"\"(?P<name>[A-Za-z0-9_.:-]{2,80})\"\s{0,4}:\s{0,4}\{\s{0,40}"
    r"(?:\"(?:type|sensitive)\"\s{0,4}:\s{0,4}(?:\"[a-z]{1,20}\"|true|false),\s{0,40}){0,2}\"value\"\s{0,4}:\s{0,4}"
)
_ELEMENT = re.compile(
    r"<[a-z]{2,12}\s(?:key|name)=\"(?P<name>[A-Za-z0-9_.:-]{2,80})\"\s{0,4}(?:>|value=)", re.IGNORECASE
)

_CONTINUED_LINE = re.compile(r"\\\r?\n[ \t]*+")
_SOFT_LINE_END = re.compile(r"=[ \t]*+\r?\n")
_QUOTED_PRINTABLE = re.compile(r"(?:=[0-9A-F]{2})+")
# Literals that go on: an argument, or the next call, whose literal begins with "&" or "?", or follows one of them.
_NEXT = r"\s{0,4}(?:\)?;?\s{0,80}[A-Za-z_.][\w.:!>-]{0,60}\s{0,2}(?:\(|\+?=|<<)\s{0,4}|,[^\S\n]{0,8}\n\s{0,80})"
_ARGUMENTS = re.compile(rf"([\"']){_NEXT}\1(?=[?&])|(?<=[?&])([\"']){_NEXT}\2")
_NEXT_PARAMETER = re.compile(r"[^\S\n]*+\r?\n\s*+(?=[?&][a-z]{2,9}=)")
_CONCATENATION = re.compile(
    r"([\"'])[ \t]*+[+.&\\]?+[ _]*+\s*+[+.&]?+\s*+[rbf]?+\1(?=[^\s,;:)\]}]|:[0-9]|[ ][^\"'\n]{1,80}[&=])"
)
_LAST_LINE = 0.75  # of the line before, where not all are of one width: what is shorter ends a wrapped text
_DIFF_MARK = re.compile(r"\n[+-]")
_LINE_END = re.compile(r"(?<=\S{24})\r?\n(?:[ \t]|(?:[>#*|]|//)(?=[ \t]))*+(?=\S)(?![A-Za-z_][\w.-]{0,60}:(?:\s|\Z))")

_ENCODED = re.compile(
    r"(?:https?(?::|%(?:25)*+3[aA])%(?:25)*+2[fF]|(?<![A-Za-z0-9])(?:s[a-z]{1,2}|AccountName|AccountKey|DefaultEndpointsProtocol"
    r"|SharedAccessSignature|(?:Blob|Queue|Table|File)Endpoint)%(?:25)*+3[dD]"
    r"|(?<![A-Za-z0-9])s[a-z]{1,2}=[^\s\"'<>&`\\=]{1,400}?%(?:25)*+26[a-z]{2,7}=)[^\s\"'<>&`\\]*+"
)
_WORD = re.compile(r"[^\s\"'<>&`\\]{60,}+")
_MARKS = r"(?:%(?:25)*(?:0[aAdD]|2[0-9A-Fa-f]|3[aA]|5[b-dB-D])){0,20}"
_ENCODED_NAME = re.compile(rf"(?:s{_MARKS}i{_MARKS}g|AccountKey){_MARKS}%(?:25)*3[aAdD]")
_PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2})+")

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9_-]{100,}+|[A-Za-z0-9+/]{8,}+)={0,2}(?![A-Za-z0-9+/=])")
_URL_SAFE = str.maketrans("-_", "+/")
_LONGEST_SIGNATURE = 70  # characters of one that is percent-encoded; what holds a credential has longer runs
_LONG_ENOUGH = 100  # characters: a key that was encoded again has 120, the shortest token more
_WORTH_DECODING = re.compile(
    r"s[^A-Za-z0-9]{0,20}i[^A-Za-z0-9]{0,20}g[^A-Za-z0-9]{0,20}(?:=|:|%3[dD])|AccountKey|\A[A-Za-z0-9+/]{86,}+={0,2}\s*\Z"
)


def views(text: str) -> Iterator[str]:
    """Yield readings of `text`: escapes undone; then lines joined; then all that with encodings peeled off.

    What looks like quoted-printable may be a signature that begins with "3D": its reading stands beside the others.
    """
    waiting = deque([(text, 0)])
    known: set[str] = set()
    while waiting and len(known) < _MOST_VIEWS:
        inner, layer = waiting.popleft()
        for view in _joined(inner):
            if view in known:
                continue
            known.add(view)
            yield view
            peeled = _base64_decoded(_percent_decoded(view)) if layer < _LAYERS else view
            if peeled != view:
                waiting.append((peeled, layer + 1))


def _joined(text: str) -> Iterator[str]:
    """Yield `text` without escapes, and with its lines joined in the ways that texts are wrapped in."""
    view = _unescaped(text)
    yield view
    for join in (_soft_lines_joined, _hard_lines_joined):
        view = join(view)
        yield view
    if "=3D" in text:
        yield _unescaped(_quoted_printable_decoded(text))


def percent_decoded(text: str) -> str:
    """Decode %XX once, as UTF-8; "+" stays, as it does in Azure's tokens."""
    if "%" not in text:
        return text
    return _PERCENT.sub(lambda match: _utf8(bytes.fromhex(match[0].replace("%", ""))), text)


def _unescaped(text: str) -> str:
    """Undo HTML entities and the backslash escapes of JSON, source code and shells; remove what can't be seen."""
    if not text.isascii():
        text = _INVISIBLE.sub("", text)
    if "&" in text:
        text = _ENTITY.sub(lambda match: html.unescape(f"&{match[1]};"), text)
    if "\\u" in text:
        text = _UNICODE_ESCAPES.sub(_utf16, text)
    if "\\x" in text:
        text = _HEX_ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    if "\\n" in text:
        text = _ESCAPED_LINE_END.sub("\n", text)
    if "%%" in text:
        text = _DOUBLED_PERCENT.sub("%", text)
    if '"&"' in text or "'&'" in text:
        text = _QUOTED_AMPERSAND.sub("&", text)
    if "\\" in text or "^" in text or "`" in text:
        text = _ESCAPED_MARK.sub(lambda match: match[1] or match[2], text)
    return text


def _utf16(match: re.Match[str]) -> str:
    units = bytes.fromhex("".join(_UNICODE_UNIT.findall(match[0])))
    return units.decode("utf-16-be", errors="replace")


def _soft_lines_joined(text: str) -> str:
    """Join what says that it goes on: lines by a backslash, adjacent literals, parameters, a name and its value."""
    if "value" in text:
        text = _OBJECT.sub(r'"\g<name>": ', _PAIR.sub(r'"\g<name>": ', text))
    if "<" in text:
        text = _TAG.sub("", _ELEMENT.sub(r"\g<name>=", text))
    if "\n" in text:
        text = _NEXT_PARAMETER.sub("", _CONTINUED_LINE.sub("", text))
    if '"' in text or "'" in text:
        text = _CONCATENATION.sub("", _ARGUMENTS.sub("", text))
    return text


def _quoted_printable_decoded(text: str) -> str:
    return _QUOTED_PRINTABLE.sub(_quoted_bytes, _SOFT_LINE_END.sub("", text))


def _quoted_bytes(match: re.Match[str]) -> str:
    return _utf8(bytes.fromhex(match[0].replace("=", "")))


def _hard_lines_joined(text: str) -> str:
    """Join lines that end in a long word, without indentation and the marks of quotes, comments, tables and diffs.

    A line that begins with a name and a colon is a setting of its own.
    """
    if "\n@@" in text:
        text = _DIFF_MARK.sub("\n", text)
    parts = []
    done = next_start = width = 0
    next_width = 0.0
    for match in _LINE_END.finditer(text):
        start = text.rfind("\n", 0, match.start()) + 1
        width_before, width = width, match.start() - start
        # The last line of a wrapped text is the shorter one; what follows it is another text.
        if start != next_start or width >= next_width:
            parts.append(text[done : match.start()])
            done = match.end()
            next_start = text.index("\n", match.start()) + 1
            next_width = width if width == width_before else width * _LAST_LINE
    return "".join([*parts, text[done:]])


def _percent_decoded(text: str) -> str:
    """Decode what was encoded as a whole, such as a URL inside of another's query."""
    if "%" not in text:
        return text
    text = _ENCODED.sub(lambda match: percent_decoded(match[0]), text)
    if _ENCODED_NAME.search(text) is None:
        return text
    return _WORD.sub(lambda word: percent_decoded(word[0]) if _ENCODED_NAME.search(word[0]) else word[0], text)


def _base64_decoded(text: str) -> str:
    """Decode base64 where some of it hides a credential; then its short neighbors too, as in a Kubernetes secret."""
    worth = has_run(text, _LONGEST_SIGNATURE) and any(
        _WORTH_DECODING.search(_from_base64(match[0]))
        for match in _BASE64.finditer(text)
        if len(match[0]) >= _LONG_ENOUGH
    )
    return _BASE64.sub(lambda match: _from_base64(match[0]), text) if worth else text


def _from_base64(text: str) -> str:
    """Return the printable text that `text` encodes, or `text` itself."""
    try:
        data = base64.b64decode(text.translate(_URL_SAFE) + "=" * (-len(text) % 4), validate=True)
        decoded = data.decode("utf-16-le" if data[1:8:2] == bytes(4) else "utf-8")  # as PowerShell encodes commands
    except (binascii.Error, UnicodeDecodeError):
        return text
    return decoded.strip() if all(mark.isprintable() or mark.isspace() for mark in decoded) else text


def _utf8(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")
