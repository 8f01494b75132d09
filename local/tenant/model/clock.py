"""The clock of every stand-in."""

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)
