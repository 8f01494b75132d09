"""How a call of the HTTP API is answered: by whoever may, or by a problem that says why not."""

import logging
from collections.abc import Awaitable, Callable

import azure.functions as func

from shared.api import problems
from shared.api.auth.access_tokens import AccessTokens, Role, SignedIn
from shared.errors import NotPermitted, SasquashError, Unauthenticated

_log = logging.getLogger(__name__)

type Act = Callable[[func.HttpRequest, SignedIn], Awaitable[func.HttpResponse]]


async def answer_call(
    tokens: AccessTokens, request: func.HttpRequest, roles: frozenset[Role], act: Act
) -> func.HttpResponse:
    """Let `act` answer a caller who has one of `roles`; before that is known, nothing else is looked at."""
    try:
        who = await tokens.check(request.headers.get("authorization"))
        require(who, roles)
        return await act(request, who)
    except Unauthenticated as error:
        _log.warning("A call of the API was refused: %s", error)
        return problems.answer(error, challenge=tokens.challenge(error))
    except SasquashError as error:
        _log.warning("A call of the API came to nothing (%s): %s", error.code, error)
        return problems.answer(error)


def require(who: SignedIn, roles: frozenset[Role]) -> None:
    """Raise NotPermitted unless the caller has one of `roles`."""
    if who.roles.isdisjoint(roles):
        raise NotPermitted(f"{who.caller} has none of the app roles that may do this: {', '.join(sorted(roles))}.")
