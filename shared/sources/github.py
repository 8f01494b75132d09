"""GitHub secret scanning: a webhook names an alert, which is read as one GitHub App and closed as another.

A private key opens every right that its App has, so the App that reads has no right to close
(docs/decisions/0047-the-intake-holds-what-it-needs.md).

docs.github.com: "Webhook events and payloads" (secret_scanning_alert, secret_scanning_alert_location), "REST API
endpoints for secret scanning".
"""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from shared.cloud.http import Rest
from shared.domain.alert import AlertReference, AlertSource, InvalidAlert
from shared.domain.alert_match import Closing, Doubt, Revoked, SecretOfAlert, left_open
from shared.domain.finding import Finding
from shared.domain.report import in_text
from shared.errors import Blocked
from shared.sources.alert_places import attributed
from shared.sources.entries import Alert, Entry, Invalid, Skip, Skipped, object_of, text_of
from shared.sources.findings import Found
from shared.sources.github_app import GitHubApp
from shared.sources.github_discussions import Discussions
from shared.sources.github_locations import Locations

EVENTS = ("secret_scanning_alert", "secret_scanning_alert_location")
# The actions of new alerts. Others are about changes of an alert, including those by Sasquash.
_ACTIONS = ("created", "reopened", "publicly_leaked")

_LONGEST_COMMENT = 280  # characters
_READING = {"secret_scanning_alerts": "read", "contents": "read"}
_CLOSING = {"secret_scanning_alerts": "write"}


def read(event: str, payload: object, *, types: Collection[str]) -> Entry:
    """Return the entry of a webhook of type `event`: an alert, if its secret is of one of `types`."""
    if not isinstance(payload, Mapping):
        return Invalid("The payload is not an object.")
    if event not in EVENTS or payload.get("action") not in _ACTIONS:
        return Skipped(Skip.OTHER_EVENT)
    alert = object_of(payload, "alert")
    if text_of(alert, "secret_type") not in types:
        return Skipped(Skip.OTHER_SECRET)
    number, place = alert.get("number"), text_of(object_of(payload, "repository"), "full_name")
    if not isinstance(number, int) or isinstance(number, bool) or place is None:
        return Invalid("`alert.number` is not a number, or `repository.full_name` is not a string.")
    try:
        return Alert(AlertReference(AlertSource.GITHUB, place, str(number)))
    except InvalidAlert as error:
        return Invalid(f"`alert` or `repository` is malformed: {error}.")


class GitHub:
    """Reads and closes alerts. Either App may be missing.

    `base_url` is that of the REST API, where `rest` is; `graphql` is at the base of the GraphQL API beside it.
    """

    def __init__(
        self, rest: Rest, *, graphql: Rest, reading: GitHubApp | None, closing: GitHubApp | None, base_url: str
    ) -> None:
        self._rest = rest
        self._graphql = graphql
        self._reading = reading
        self._closing = closing
        self._base_url = base_url
        host = urlsplit(base_url).hostname or ""
        self._site = "github.com" if host == "api.github.com" else host.removeprefix("api.")

    async def read(self, alert: AlertReference, found: Found) -> tuple[Finding, ...]:
        """Return the findings of `alert`. Raises Blocked or TransientFailure; AccountUnread has the findings.

        Where the secret does not name its account, the text around it is read: lines of a file, an issue, a comment.
        """
        app = self._reading
        if app is None:
            raise Blocked(f"{alert} can't be read: SASQUASH_GITHUB_APP is not set (docs/sources.md).")
        read = await self._get(alert, app=app, doing=f"Reading {alert}")
        secret = text_of(read, "secret") if isinstance(read, Mapping) else None
        if secret is None:
            raise Blocked(f"{alert} has no secret: GitHub hides it from this app. Report the leak yourself.")
        url = f"https://{self._site}/{alert.place}/security/secret-scanning/{alert.alert}"
        detected_at = found.at(text_of(read, "created_at"))
        reported = in_text(secret, source=alert.source, url=url, detected_at=detected_at, alert=alert)
        locations = Locations(self._rest, app, Discussions(self._graphql, app, self._site), self._base_url)
        return await attributed([each.finding for each in reported], partial(locations.of, alert), alert=alert)

    async def close(self, alert: AlertReference, comment: str, *, revoked: Revoked) -> Closing:
        """Resolve `alert` as revoked if its secret is what was `revoked`. Raises Blocked or TransientFailure.

        An alert that is already resolved as revoked is not changed: its comment can't be edited.
        """
        app = self._closing
        if app is None:
            return Closing(f"{alert} was left open: SASQUASH_GITHUB_CLOSING_APP is not set.", closed=False)
        doing = f"Closing {alert}"
        now = await self._get(alert, app=app, doing=doing, permissions=_CLOSING)
        if not isinstance(now, Mapping) or not _is_of(now, alert):
            return left_open(alert, Doubt.ANOTHER_ALERT)
        secret = text_of(now, "secret")
        if (doubt := revoked.doubt_of_secrets([SecretOfAlert(secret)] if secret else [])) is not None:
            return left_open(alert, doubt)
        if (now.get("state"), now.get("resolution")) == ("resolved", "revoked"):
            return Closing(f"{alert} was already resolved as revoked.", closed=True)
        await self._rest.call(
            "PATCH",
            _path(alert),
            doing=doing,
            right="secret scanning alerts: write, of the GitHub App of SASQUASH_GITHUB_CLOSING_APP",
            headers=await app.headers(alert.place, _CLOSING),
            body={"state": "resolved", "resolution": "revoked", "resolution_comment": comment[:_LONGEST_COMMENT]},
        )
        return Closing(f"{alert} was resolved as revoked.", closed=True)

    async def _get(
        self,
        alert: AlertReference,
        *,
        app: GitHubApp,
        doing: str,
        permissions: Mapping[str, str] = _READING,
    ) -> Any:
        return await self._rest.call(
            "GET",
            _path(alert),
            doing=doing,
            right="secret scanning alerts: read, of the GitHub App",
            headers=await app.headers(alert.place, permissions),
        )


def _path(alert: AlertReference) -> str:
    return f"/repos/{alert.place}/secret-scanning/alerts/{alert.alert}"


def _is_of(answer: Mapping[str, Any], alert: AlertReference) -> bool:
    """Whether the answer is this alert, by its number and its URL in the API (`url`), which names its repository."""
    url = (text_of(answer, "url") or "").lower()
    return answer.get("number") == int(alert.alert) and url.endswith(_path(alert).lower())
