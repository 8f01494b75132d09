"""The caller of the HTTP API, as Entra ID names them."""

from dataclasses import dataclass

from shared.domain.text import Foreign


@dataclass(frozen=True, slots=True)
class Caller:
    """A person or an app. Only `object_id` identifies them: names change and can be reused.

    A name is text from outside: the person who registers an app, or a guest, chooses it. `is_person` is false where
    that is not known, as in records of version 0.2.
    """

    name: str
    object_id: str
    is_person: bool = False

    def __str__(self) -> str:
        return f"{Foreign(self.name)} ({self.object_id})"
