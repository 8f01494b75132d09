"""HTML building blocks of mails: tables and inline styles, since Outlook for Windows renders with Word's engine.

Stripped of its tags a mail still reads as text: each block is on lines of its own and each label ends with a colon.
Texts are escaped here, and are `clean` before. Only `Code` becomes a box of code.
"""

from collections.abc import Iterable, Sequence
from html import escape

from shared.domain.text import Code, Line, clean

_MOST_ITEMS = 20

FONT = "font-family:'Segoe UI',Helvetica,Arial,sans-serif"
BREAK = "word-break:break-word;overflow-wrap:anywhere"
"""The style of an element that may hold a word as long as its writer likes."""
CELL = f"{FONT};font-size:14px;line-height:20px;color:#1f2328;padding:3px 8px 3px 0;vertical-align:top;{BREAK}"
_CODE = "font-family:Consolas,Menlo,monospace;font-size:13px;background-color:#eef0f2;color:#1f2328"
_TABLE = 'role="presentation" cellpadding="0" cellspacing="0" border="0"'


def section(title: str, body: str) -> str:
    """Return a part of the mail with its heading; `body` is HTML."""
    heading = f"{FONT};font-size:15px;line-height:20px;font-weight:700;color:#1f2328;margin:0 0 6px 0"
    return (
        f'<tr><td style="padding:16px 20px 0 20px">\n<h2 style="{heading}">{escape(title)}</h2>\n{body}</td></tr>\n'
    )


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Return labels and what they are of, one a line."""
    cells = "".join(
        f'<tr><td style="{CELL};color:#57606a;width:190px">{escape(label)}:</td> '
        f'<td style="{CELL}">{escape(value)}</td></tr>\n'
        for label, value in rows
    )
    return f'<table {_TABLE} width="100%">\n{cells}</table>\n'


def paragraph(text: str) -> str:
    """Return a paragraph."""
    return f'<p style="{CELL};margin:0 0 6px 0">{escape(text)}</p>\n'


def bullets(items: Sequence[Line], *, tag: str = "ul") -> str:
    """Return a list, or nothing for none."""
    if not items:
        return ""
    lines = "".join(f'<li style="{CELL}">{_line(item)}</li>\n' for item in items[:_MOST_ITEMS])
    if len(items) > _MOST_ITEMS:
        lines += f'<li style="{CELL}">and {len(items) - _MOST_ITEMS} more</li>\n'
    return f'<{tag} style="margin:0 0 6px 0;padding:0 0 0 20px">\n{lines}</{tag}>\n'


def linked_bullets(items: Sequence[tuple[str, str | None]], *, more: int) -> str:
    """Return a list of texts, each with its link if it has one, and how many `more` there are."""
    lines = "".join(
        f'<li style="{CELL}">{escape(clean(text))}{f"<br>{chr(10)}{link(url)}" if url else ""}</li>\n'
        for text, url in items
    )
    if more:
        lines += f'<li style="{CELL}">and {more} more</li>\n'
    return f'<ul style="margin:0 0 6px 0;padding:0 0 0 20px">\n{lines}</ul>\n'


def link(url: str) -> str:
    """Return a link to the console. The address is shown, so that it can be checked."""
    return f'<a href="{escape(url)}" style="word-break:break-all">{escape(url)}</a>'


def record_url(console: str, fingerprint: str) -> str:
    """Return the address of a record in the console, whose URL is in the settings."""
    return f"{console}#/record/{fingerprint}"


def _line(line: Line) -> str:
    """Return the HTML of a line: its code in boxes, and everything else as text."""
    if isinstance(line, str):
        return escape(clean(line))
    return "".join(_code(part) if isinstance(part, Code) else escape(part) for part in line.harmless().parts)


def _code(code: Code) -> str:
    return f'<code style="{_CODE};{BREAK}">{escape(code.code)}</code>'


def command_block(command: Code) -> str:
    """Return a command in a box of its own."""
    style = f"{_CODE};padding:8px 10px;margin:0 0 6px 0;white-space:pre-wrap;{BREAK}"
    return f'<pre style="{style}">{escape(command.code)}</pre>\n'


def page(title: str, *rows: str) -> str:
    """Return the whole mail; `rows` are HTML."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        # Prevents phones from linking addresses, dates and numbers.
        '<meta name="format-detection" content="telephone=no,date=no,address=no,email=no,url=no">\n'
        f"<title>{escape(title)}</title>\n</head>\n"
        '<body style="margin:0;padding:0;background-color:#f3f4f6">\n'
        f'<table {_TABLE} width="100%" bgcolor="#f3f4f6"><tr><td align="center" style="padding:12px">\n'
        f'<table {_TABLE} width="100%" bgcolor="#ffffff" style="max-width:720px;text-align:left">\n'
        f"{''.join(rows)}</table>\n</td></tr></table>\n</body>\n</html>\n"
    )
