"""The list of SAS in use as a table of text. Pure. Clients choose some of the texts: all are made harmless."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from shared.domain.text import clean
from shared.watch.answer import SasInUse

_HEAD = ("ACCOUNT", "KIND", "RESOURCE", "MAY", "ENDS", "RATING", "SIGNED BY", "FIRST", "LAST", "REQUESTS", "CLIENTS")
_WIDEST = 40
_CLIENTS = 3


def table(tokens: Sequence[SasInUse]) -> str:
    """Return a header and a line for each token, in columns."""
    rows = [_HEAD, *(_row(token) for token in tokens)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join(_line(row, widths) for row in rows)


def _row(token: SasInUse) -> tuple[str, ...]:
    policy = f"policy {token.policy}" if token.policy else "-"
    more = f" +{len(token.clients) - _CLIENTS}" if len(token.clients) > _CLIENTS else ""
    texts = (
        token.account,
        token.kind.value,
        token.resource or "(account)",
        token.permissions or policy,
        _day(token.expires) if token.expires else policy,
        token.severity.value,
        token.signed_by.value,
        _day(token.first_used),
        _day(token.last_used),
        str(token.requests),
        f"{', '.join(token.clients[:_CLIENTS])}{more}" or "-",
    )
    return (*(clean(text, limit=_WIDEST) for text in texts[:-1]), clean(texts[-1], limit=120))


def _line(row: Iterable[str], widths: Iterable[int]) -> str:
    return "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
