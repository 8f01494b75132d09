"""Authorizes a call of the HTTP API before it is handled, and turns errors into problem details."""

import logging
from collections.abc import Awaitable, Callable

import azure.functions as func

from shared.api import problems
from shared.api.auth.access_tokens import AccessTokens, Role, SignedIn
from shared.errors import NotPermitted, SasquashError, Unauthenticated

_log = logging.getLogger(__name__)

type Handler = Callable[[func.HttpRequest, SignedIn], Awaitable[func.HttpResponse]]


async def answer_call(
    tokens: AccessTokens, request: func.HttpRequest, roles: frozenset[Role], handle: Handler
) -> func.HttpResponse:
    """Return the response of `handle` for a caller with one of `roles`. The token is checked before anything else."""
    try:
        who = await tokens.check(request.headers.get("authorization"))
        require(who, roles)
        return await handle(request, who)
    except Unauthenticated as error:
        _log.warning("An API call was refused: %s", error)
        return problems.answer(error, challenge=tokens.challenge(error))
    except SasquashError as error:
        _log.warning("An API call failed (%s): %s", error.code, error)
        return problems.answer(error)


def require(who: SignedIn, roles: frozenset[Role]) -> None:
    """Raise NotPermitted unless the caller has one of `roles`."""
    if who.roles.isdisjoint(roles):
        raise NotPermitted(f"{who.caller} has none of the app roles that this requires: {', '.join(sorted(roles))}.")
