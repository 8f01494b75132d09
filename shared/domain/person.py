"""A user in the directory (Microsoft Entra ID)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """A user's name and mailbox. `mail` is None for an account without a mailbox."""

    name: str | None
    mail: str | None
