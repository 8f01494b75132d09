"""Who asked for something over HTTP, as Entra ID names them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """A person or an app. Only `object_id` tells two of them apart: names change, and may be given again."""

    name: str
    object_id: str

    def __str__(self) -> str:
        return f"{self.name} ({self.object_id})"
