"""A mail."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """A mail. `to` and `cc` are plain addresses, `html` is its body."""

    subject: str
    html: str
    to: tuple[str, ...]
    cc: tuple[str, ...]

    @property
    def recipients(self) -> tuple[str, ...]:
        """Return every address that it goes to."""
        return self.to + self.cc
