"""What was deployed: the state behind `service` and `publishing`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from local.deployments.resources import Resources
from local.tenant.model import SUBSCRIPTION_ID

SUBSCRIPTION = f"/subscriptions/{SUBSCRIPTION_ID}"


@dataclass
class Deployment:
    """One deployment, as `GET` shows it."""

    name: str
    scope: str
    location: str | None
    properties: dict[str, Any]
    tags: Mapping[str, str]
    resources: tuple[str, ...] = ()

    def shown(self) -> dict[str, Any]:
        place = {"location": self.location} if self.location else {}
        return {
            "id": f"{self.scope}/providers/Microsoft.Resources/deployments/{self.name}",
            "name": self.name,
            "type": "Microsoft.Resources/deployments",
            **place,
            "tags": dict(self.tags),
            "properties": self.properties,
        }


@dataclass
class Deployments:
    """The state: resources, and deployments by the id of their scope and their name, in lower case."""

    resources: Resources = field(default_factory=Resources)
    by_name: dict[tuple[str, str], Deployment] = field(default_factory=dict)
    packages: dict[str, bytes] = field(default_factory=dict)
    """The package that was published last to each app, by the app's name."""
    host_of: Callable[[str], str | None] = lambda _: None
    """Returns the base address of the host that runs an app, by the app's name; None where none runs."""
    inside: bool = True
    """Whether callers are in the network of private apps: others are refused there."""

    def forget(self) -> None:
        """Delete everything."""
        self.resources = Resources()
        self.by_name.clear()
        self.packages.clear()
        self.inside = True


@dataclass(frozen=True)
class Call:
    """One authorized request. `names` are those in its path."""

    state: Deployments
    request: Request
    names: Mapping[str, str]

    @property
    def scope(self) -> str:
        """The subscription, or the resource group of the path."""
        return f"{SUBSCRIPTION}/resourceGroups/{self.names['group']}" if self.names.get("group") else SUBSCRIPTION


type Handler = Callable[[Call], Awaitable[Response]]
