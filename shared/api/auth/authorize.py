"""Authorizes a call of the HTTP API before it is handled, and turns errors into problem details."""

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Protocol

import azure.functions as func

from shared.api import problems
from shared.api.auth.access_tokens import AccessTokens, Role, SignedIn
from shared.errors import NotPermitted, SasquashError, Unauthenticated

_log = logging.getLogger(__name__)


class _Api(Protocol):
    """A class with routes."""

    @property
    def tokens(self) -> AccessTokens: ...


type Handler[T] = Callable[[T, func.HttpRequest, SignedIn], Awaitable[func.HttpResponse]]
type Route[T] = Callable[[T, func.HttpRequest], Awaitable[func.HttpResponse]]


def requires[T: _Api](roles: frozenset[Role]) -> Callable[[Handler[T]], Route[T]]:
    """Make a method that handles requests a route for callers with one of `roles`.

    The token is checked before anything else. Errors are returned as problem details.
    """

    def decorate(handle: Handler[T]) -> Route[T]:
        @wraps(handle)
        async def route(api: T, request: func.HttpRequest) -> func.HttpResponse:
            try:
                who = await api.tokens.check(request.headers.get("authorization"))
                require(who, roles)
                return await handle(api, request, who)
            except Unauthenticated as error:
                _log.warning("An API call was refused: %s", error)
                return problems.answer(error, challenge=api.tokens.challenge(error))
            except SasquashError as error:
                _log.warning("An API call failed (%s): %s", error.code, error)
                return problems.answer(error)

        return route

    return decorate


def require(who: SignedIn, roles: frozenset[Role]) -> None:
    """Raise NotPermitted unless the caller has one of `roles`."""
    if who.roles.isdisjoint(roles):
        raise NotPermitted(f"{who.caller} has none of the app roles that this requires: {', '.join(sorted(roles))}.")
