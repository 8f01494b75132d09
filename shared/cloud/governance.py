"""Reads management locks, deny assignments, permissions and diagnostic settings.

REST: Management Locks - List At Subscription Level (2020-05-01); Deny Assignments - List (2022-04-01); Permissions -
List For Resource (2022-04-01); Diagnostic Settings - List (2021-05-01-preview).
"""

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import jwt
from azure.core.credentials_async import AsyncTokenCredential

from shared.cloud.arm import ArmReader
from shared.cloud.errors import translate_errors
from shared.domain.account import AccountFacts
from shared.domain.readiness import Actions, Denial, Lock
from shared.sas import Service

_AUTHORIZATION = "/providers/Microsoft.Authorization"
_LOCK_OF = f"{_AUTHORIZATION}/locks/"


@dataclass(frozen=True, slots=True)
class Governance:
    """Reads what governs the accounts. All raise TransientFailure or Blocked.

    `resource_manager` is ARM's URL.
    """

    arm: ArmReader
    credential: AsyncTokenCredential
    _: KW_ONLY
    resource_manager: str

    async def principal(self) -> str:
        """Return the object id of the app's identity, as its own access token has it."""
        with translate_errors("Reading the app's identity"):
            token = await self.credential.get_token(f"{self.resource_manager}/.default")
        # Our own token needs no verification.
        claims = jwt.decode(token.token, options={"verify_signature": False})
        return str(claims.get("oid", "")).lower()

    async def locks(self, subscription: str) -> tuple[Lock, ...]:
        """Return every management lock in a subscription, whatever it was put on."""
        path = f"/subscriptions/{subscription}{_AUTHORIZATION}/locks?api-version=2020-05-01"
        return tuple([_lock(row) async for row in self.arm.rows(subscription, path, doing="Listing the locks")])

    async def denials(self, subscription: str) -> tuple[Denial, ...]:
        """Return every deny assignment in a subscription, and those above that reach into it."""
        path = f"/subscriptions/{subscription}{_AUTHORIZATION}/denyAssignments?api-version=2022-04-01"
        rows = self.arm.rows(subscription, path, doing="Listing the deny assignments")
        return tuple([_denial(row.get("properties") or {}) async for row in rows])

    async def rights(self, account: AccountFacts) -> tuple[Actions, ...]:
        """Return what the app's identity may do on an account, a role each."""
        path = f"{account.id}{_AUTHORIZATION}/permissions?api-version=2022-04-01"
        rows = self.arm.rows(account.subscription, path, doing=f"Reading our permissions on {account.name}")
        return tuple([_actions(row) async for row in rows])

    async def logged(self, account: AccountFacts, service: Service) -> frozenset[str]:
        """Return the categories, and groups of them, that a service of an account logs to a workspace."""
        path = (
            f"{account.id}/{service.value}Services/default/providers/Microsoft.Insights/diagnosticSettings"
            "?api-version=2021-05-01-preview"
        )
        rows = self.arm.rows(account.subscription, path, doing=f"Reading what {account.name} logs")
        settings = [row.get("properties") or {} async for row in rows]
        return frozenset(
            str(log.get("categoryGroup") or log.get("category"))
            for setting in settings
            if setting.get("workspaceId")
            for log in setting.get("logs") or ()
            if log.get("enabled") is True
        )


def _lock(row: Mapping[str, Any]) -> Lock:
    scope, _, name = str(row.get("id", "")).rpartition(_LOCK_OF)
    return Lock(scope, str((row.get("properties") or {}).get("level", "")), name)


def _denial(properties: Mapping[str, Any]) -> Denial:
    return Denial(
        name=str(properties.get("denyAssignmentName", "")),
        scope=str(properties.get("scope", "")),
        denied=tuple(_actions(permission) for permission in properties.get("permissions") or ()),
        principals=_ids(properties.get("principals") or ()),
        excluded=_ids(properties.get("excludePrincipals") or ()),
        spares_children=properties.get("doNotApplyToChildScopes") is True,
    )


def _actions(row: Mapping[str, Any]) -> Actions:
    return Actions(tuple(row.get("actions") or ()), tuple(row.get("notActions") or ()))


def _ids(principals: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(str(principal.get("id", "")).lower() for principal in principals)
