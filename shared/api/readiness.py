"""GET /api/readiness: what the latest looks at the accounts found, and how the latest drills went."""

from typing import Protocol

import azure.functions as func

from shared.api.auth.access_tokens import AccessTokens, Role, SignedIn
from shared.api.auth.authorize import answer_call
from shared.api.responses import as_json
from shared.persistence.readiness import DrillRun, Look

_READERS = frozenset({Role.READER, Role.RESPONDER, Role.APPROVER})
_DRILLS = 12  # that are shown, the newest first


class Records(Protocol):
    """What was found: `ReadinessTable`. Both raise SasquashError."""

    async def looks(self) -> list[Look]:
        """Return the latest look at each account."""

    async def drills(self) -> list[DrillRun]:
        """Return every drill, oldest first."""


class ReadinessApi:
    """Answers people, and their programs."""

    def __init__(self, table: Records, tokens: AccessTokens) -> None:
        self._table = table
        self._tokens = tokens

    async def read(self, request: func.HttpRequest) -> func.HttpResponse:
        """Return every account that was looked at, those in trouble first, and the latest drills."""
        return await answer_call(self._tokens, request, _READERS, self._read)

    async def _read(self, _request: func.HttpRequest, _who: SignedIn) -> func.HttpResponse:
        looks, drills = await self._table.looks(), await self._table.drills()
        ordered = sorted(looks, key=lambda look: (look.ready, not look.troubles, look.account))
        return as_json(
            {
                "accounts": [_account(look) for look in ordered],
                "drills": [_drill(run) for run in reversed(drills[-_DRILLS:])],
            }
        )


def _account(look: Look) -> dict[str, object]:
    return {
        "account": look.account,
        "account_id": look.account_id,
        "looked_at": look.at,
        "ready": look.ready,
        "troubles": look.troubles,
    }


def _drill(run: DrillRun) -> dict[str, object]:
    return {
        "started_at": run.started_at,
        "account": run.account,
        "revocation": run.revocation,
        "outcome": run.outcome,
        "said": run.said,
        "contained_after": run.contained_after,
        "proven_after": run.proven_after,
    }
