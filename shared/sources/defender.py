"""Microsoft Defender for Storage: alerts about unusual use of a SAS. They do not contain the token.

A report names an alert, which is read and closed over Microsoft Graph.
learn.microsoft.com: "Alerts for Azure Storage" (Storage.Blob_AccountSas.*), "Security alerts schemas" (what a
workflow automation sends), Graph "alert resource type", "sasTokenEvidence resource type", "Update alert",
"Create comment".
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.cloud.http import Rest
from shared.domain.alert import AlertEvidence, AlertReference, AlertSource, InvalidAlert, cleaned, moment_in
from shared.domain.alert_match import Closing, Doubt, Revoked, left_open
from shared.domain.finding import Finding
from shared.errors import Blocked, NotFound
from shared.sources.entries import Alert, Entry, Invalid, Skip, Skipped, list_of, object_of, text_of
from shared.sources.findings import Found

_SAS_ALERTS = "Storage.Blob_AccountSas."
_SAS_EVIDENCE = "#microsoft.graph.security.sasTokenEvidence"
_ALERTS = "/v1.0/security/alerts_v2"
_READ, _WRITE = "Graph SecurityAlert.Read.All", "Graph SecurityAlert.ReadWrite.All"
_SEARCH_PERIOD = timedelta(days=2)  # to search an alert by its provider's id
_ACCOUNT_ID = re.compile(
    r"/subscriptions/[0-9a-f-]{36}/resourceGroups/[^/]{1,90}/providers/Microsoft\.Storage/storageAccounts/"
    r"(?P<name>[a-z0-9]{3,24})(?:/.*)?",
    re.IGNORECASE,
)
_KEY = re.compile(r"(?i)\bkey[ _-]?(?P<number>[12])\b")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_WORDS = 20


def read(payload: object) -> list[Entry]:
    """Return one entry for each alert: of Graph (one, or a page), or of an automation of Defender for Cloud."""
    if not isinstance(payload, Mapping):
        return [Invalid("The payload is not an object.")]
    alerts = list_of(payload, "value") if "value" in payload else [payload]
    return [_entry(alert) for alert in alerts]


def _entry(alert: object) -> Entry:
    if not isinstance(alert, Mapping):
        return Invalid("The alert is not an object.")
    kind = text_of(alert, "AlertType")
    if kind is not None and not kind.startswith(_SAS_ALERTS):
        return Skipped(Skip.OTHER_EVENT)
    name = text_of(alert, "id") if kind is None else text_of(alert, "SystemAlertId")
    if name is None:
        return Invalid("The alert has neither Graph's `id`, nor `AlertType` and `SystemAlertId`.")
    try:
        return Alert(AlertReference(AlertSource.DEFENDER, "", name))
    except InvalidAlert as error:
        return Invalid(f"The alert's id is malformed: {error}.")


@dataclass(frozen=True, slots=True)
class Defender:
    """Reads and closes alerts in Microsoft Graph as the app's identity."""

    rest: Rest
    clock: Callable[[], datetime]

    async def read(self, alert: AlertReference, found: Found) -> tuple[Finding, ...]:
        """Return a finding for each token in the evidence of the alert.

        Raises Blocked, also where the evidence does not name the key, or TransientFailure.
        """
        read = await self._alert(alert, found)
        name = text_of(read, "id") or alert.alert
        known = AlertReference(AlertSource.DEFENDER, "", name)
        url = f"https://security.microsoft.com/alerts/{name}"
        detected_at = found.at(text_of(read, "createdDateTime"))
        return tuple(
            Finding.of_evidence(evidence, source=alert.source, url=url, detected_at=detected_at, alert=known)
            for evidence in _evidences(read, found, alert=alert)
        )

    async def close(self, alert: AlertReference, comment: str, *, revoked: Revoked) -> Closing:
        """Resolve `alert` as a true positive, with a comment, where it is about what was `revoked`.

        The comment is written first, so that every resolved alert has one, and once. Raises Blocked or
        TransientFailure.
        """
        doing = f"Closing {alert}"
        now = await self.rest.call("GET", _path(alert), doing=doing, right=_READ)
        if not isinstance(now, Mapping) or text_of(now, "id") != alert.alert:
            return left_open(alert, Doubt.ANOTHER_ALERT)
        try:
            tokens = _evidences(now, Found(self.clock), alert=alert)
        except Blocked:
            return left_open(alert, Doubt.UNNAMED_KEY)
        if (doubt := revoked.doubt_of_tokens(tokens)) is not None:
            return left_open(alert, doubt)
        if str(now.get("status")).lower() == "resolved":
            return Closing(f"{alert} was already resolved.", closed=True)
        # It has the comment already if the answer to an earlier attempt was lost, or resolving the alert failed then.
        if not any(isinstance(one, Mapping) and one.get("comment") == comment for one in list_of(now, "comments")):
            body = {"@odata.type": "microsoft.graph.security.alertComment", "comment": comment}
            await self.rest.call("POST", f"{_path(alert)}/comments", doing=doing, right=_WRITE, body=body)
        resolution = {"status": "resolved", "classification": "truePositive", "determination": "other"}
        await self.rest.call("PATCH", _path(alert), doing=doing, right=_WRITE, body=resolution)
        return Closing(f"{alert} was resolved as a true positive.", closed=True)

    async def _alert(self, alert: AlertReference, found: Found) -> Mapping[str, Any]:
        """Return the alert by its id, or by its provider's id."""
        doing = f"Reading {alert}"
        try:
            read = await self.rest.call("GET", _path(alert), doing=doing, right=_READ)
            return read if isinstance(read, Mapping) else {}
        except NotFound:
            since = found.clock() - _SEARCH_PERIOD
            since_then = f"createdDateTime ge {since:%Y-%m-%dT%H:%M:%SZ}"
            query = {"$filter": f"serviceSource eq 'microsoftDefenderForCloud' and {since_then}", "$top": "500"}
            page = await self.rest.call("GET", _ALERTS, doing=doing, right=_READ, query=query)
            for each in list_of(page, "value") if isinstance(page, Mapping) else []:
                if isinstance(each, Mapping) and each.get("providerAlertId") == alert.alert:
                    return each
            raise


def _path(alert: AlertReference) -> str:
    return f"{_ALERTS}/{alert.alert}"


def _evidences(read: Mapping[str, Any], found: Found, *, alert: AlertReference) -> tuple[AlertEvidence, ...]:
    """Return what an alert says about each token. Raises Blocked where it does not name account and key."""
    tokens = (
        evidence
        for evidence in list_of(read, "evidence")
        if isinstance(evidence, Mapping) and evidence.get("@odata.type") == _SAS_EVIDENCE
    )
    return tuple(_evidence(token, read, found, alert=alert) for token in tokens)


def _evidence(
    token: Mapping[str, Any], read: Mapping[str, Any], found: Found, *, alert: AlertReference
) -> AlertEvidence:
    account = _ACCOUNT_ID.fullmatch(text_of(object_of(token, "storageResource"), "resourceId") or "")
    key = _KEY.search(text_of(token, "signedWith") or "")
    if account is None or key is None:
        raise Blocked(
            f"{alert} does not name the storage account and the key that signed the token. Check it in the Defender "
            "portal, and order the rotation of the key."
        )
    signature = (text_of(token, "signatureHash") or "").lower()
    try:
        return AlertEvidence(
            account=account["name"].lower(),
            key=f"key{key['number']}",
            title=cleaned(text_of(read, "title") or "A SAS was used in an unusual way"),
            seen_at=found.at(text_of(read, "lastActivityDateTime") or text_of(read, "createdDateTime")),
            signature_sha256=signature if _DIGEST.fullmatch(signature) else None,
            permissions=_words(token, "permissions"),
            services=_words(token, "allowedServices"),
            resource_types=_words(token, "allowedResourceTypes"),
            addresses=cleaned(text_of(token, "allowedIpAddresses") or "") or None,
            expires=moment_in(text_of(token, "expiryDateTime")),
        )
    except InvalidAlert as error:
        raise Blocked(f"{alert} can't be read: {error}. Check it in the Defender portal.") from None


def _words(token: Mapping[str, Any], name: str) -> tuple[str, ...]:
    words = (cleaned(word) for word in list_of(token, name) if isinstance(word, str))
    return tuple(word for word in words if word)[:_MOST_WORDS]
