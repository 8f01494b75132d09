"""The caller of the HTTP API, as Entra ID names them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """A person or an app. Only `object_id` identifies them: names change and can be reused."""

    name: str
    object_id: str

    def __str__(self) -> str:
        return f"{self.name} ({self.object_id})"
