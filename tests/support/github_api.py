"""GitHub as the app sees it, over the stand-in of its APIs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from local.reporters import github as local_github
from local.reporters.reports import REPOSITORY, github_alert
from local.tenant.model import Cloud
from local.tenant.senders import GITHUB_APP, GITHUB_CLOSING_APP, GitHubAlert
from shared.cloud.http import Rest
from shared.domain.alert import AlertReference, AlertSource
from shared.sas import extract_leaks
from shared.sources import github
from shared.sources.findings import Found
from shared.sources.github_app import GitHubApp
from tests.support.asgi import Transport

API = "https://api.github.com"
ALERT = AlertReference(AlertSource.GITHUB, REPOSITORY, "1")
FOUND = Found(lambda: datetime.now(UTC))


@dataclass
class Place:
    """The stand-in with its alerts, the requests that it got, and the App's key."""

    cloud: Cloud
    wire: Transport
    key: str

    def github(self, *, clock: Any = lambda: datetime.now(UTC), closes: bool = True) -> github.GitHub:
        rest = Rest(API, self.wire)

        def app(name: str, setting: str) -> GitHubApp:
            async def key() -> str:
                return self.key if name == GITHUB_APP else self.cloud.senders.settings()[setting]

            return GitHubApp(rest, app=name, private_key=key, setting=setting, clock=clock)

        return github.GitHub(
            rest,
            graphql=Rest(API, self.wire),
            reading=app(GITHUB_APP, "SASQUASH_GITHUB_PRIVATE_KEY"),
            closing=app(GITHUB_CLOSING_APP, "SASQUASH_GITHUB_CLOSING_PRIVATE_KEY") if closes else None,
            base_url=API,
        )

    def alert(self, text: str) -> GitHubAlert:
        return github_alert(self.cloud, text, extract_leaks(text)[0])

    def calls(self, part: str = "") -> list[str]:
        return [f"{method} {url}" for method, url, _ in self.wire.sent if part in url]


@asynccontextmanager
async def opened() -> AsyncIterator[Place]:
    cloud = Cloud()
    wire = Transport(local_github.GitHub(cloud).app)
    yield Place(cloud, wire, cloud.senders.settings()["SASQUASH_GITHUB_PRIVATE_KEY"])
    await wire.close()


def without(permission: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a permission from the Apps."""
    apps = tuple(replace(app, permissions=dict(app.permissions) | {permission: ""}) for app in local_github._APPS)
    monkeypatch.setattr(local_github, "_APPS", apps)
