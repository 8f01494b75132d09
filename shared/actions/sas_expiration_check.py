"""Shows with requests of our own whether Azure enforces an account's SAS expiration policy.

Three of them, for an object that does not exist: a SAS without a start, which the policy is to refuse; the same with
a start and a short life, which it is to accept; and a Shared Key request, which it does not concern. A refusal counts
as the policy's if Azure says so (AzureStorageExplorer#8845: "Policy violated by no signed start."), or if the SAS
that complies is accepted by the same key at the same moment. How long Azure takes is in no document
(`make conformance`).
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime

from azure.core.rest import HttpRequest

from shared.actions.verification import (
    LIFETIME,
    Answer,
    Try,
    object_name,
    place_of,
    token_period,
    try_request,
    try_token,
)
from shared.cloud.data_plane import Transport
from shared.cloud.shared_key import authorization
from shared.domain.account import AccountFacts
from shared.domain.execution import Outcome, Verification, VerificationToken
from shared.sas import Service, mint_read_token

_TRIES = 3
_BEFORE = 3.0  # seconds that the action waits for the tries before it
_VERSION = "2021-12-02"  # of a Shared Key request; any that all services know


@dataclass(frozen=True, slots=True)
class _Place:
    """What was found at one endpoint."""

    name: str  # "blob", "blob (secondary)"
    violating: tuple[Try, ...]
    complying: Try
    shared_key: Try
    accepted_before: bool

    @property
    def enforced(self) -> bool:
        return all(
            one.by_sas_policy or (one.answer is Answer.REFUSED and self.complying.answer is Answer.ACCEPTED)
            for one in self.violating
        )

    @property
    def evidence(self) -> str:
        before = "was accepted before, and " if self.accepted_before else ""
        if self.enforced:
            found = f"a SAS of ours without a start {before}is refused {len(self.violating)} times"
        elif any(one.answer is Answer.ACCEPTED for one in self.violating):
            found = "a SAS of ours without a start is still accepted"
        else:
            found = f"not decided: {next(one.said for one in self.violating if one.answer is not Answer.ACCEPTED)}"
        complying, direct = _said(self.complying), _said(self.shared_key)
        return f"{found}; one that complies is {complying}; a Shared Key request is {direct}."


def _said(attempt: Try) -> str:
    return "accepted" if attempt.answer is Answer.ACCEPTED else f"not accepted ({attempt.said})"


@dataclass(frozen=True, slots=True)
class ExpirationCheck:
    """Tries requests of our own. Azure has `patience` to enforce a policy that ARM shows."""

    new_transport: Callable[[], Transport]
    _: KW_ONLY
    patience: timedelta
    clock: Callable[[], datetime]
    new_id: Callable[[], str]

    def mint(self, account: AccountFacts, services: Iterable[Service], *, key: str) -> tuple[VerificationToken, ...]:
        """Return a SAS for each service that violates any policy: it has no start."""
        name = object_name(self.new_id())
        return tuple(
            self._violating(service, account, name, key=key)
            for service in sorted(services)
            if service in account.endpoints
        )

    async def before(self, tokens: Iterable[VerificationToken]) -> tuple[Service, ...]:
        """Return the services at which these tokens are accepted; none where they take long: it is only a sign."""
        given = tuple(tokens)
        try:
            async with asyncio.timeout(_BEFORE):
                tries = await asyncio.gather(
                    *(try_token(self.new_transport, token.url, token.query) for token in given)
                )
        except TimeoutError:
            return ()
        return tuple(
            token.service for token, tried in zip(given, tries, strict=True) if tried.answer is Answer.ACCEPTED
        )

    async def verify(
        self,
        account: AccountFacts,
        services: Iterable[Service],
        *,
        key: str,
        since: datetime,
        accepted_before: Iterable[Service],
        shown: str,
    ) -> Verification:
        """Return whether the policy is enforced at every endpoint by now. `shown` is what ARM says, a sentence."""
        name, before = object_name(self.new_id()), frozenset(accepted_before)
        wanted = [service for service in sorted(services) if service in account.endpoints]
        places = await asyncio.gather(
            *(
                self._try(where, service, account, name, endpoint=endpoint, key=key, before=service in before)
                for service in wanted
                for where, endpoint in _endpoints(service, account)
            )
        )
        evidence = (shown, *(f"{place.name}: {place.evidence}" for place in places))
        if places and all(place.enforced for place in places):
            return Verification(Outcome.IN_EFFECT, self.clock(), evidence)
        if self.clock() - since < self.patience:
            return Verification(Outcome.PENDING, self.clock(), evidence)
        waited = f"{self.patience.total_seconds() / 60:.0f} minutes"
        late = f"Nothing showed within {waited} that Azure enforces the SAS expiration policy."
        return Verification(Outcome.NOT_ENFORCED, self.clock(), (late, *evidence))

    async def _try(
        self,
        where: str,
        service: Service,
        account: AccountFacts,
        name: str,
        *,
        endpoint: str,
        key: str,
        before: bool,
    ) -> _Place:
        violating = self._violating(service, account, name, key=key).query
        complying = self._complying(service, account, name, key=key)
        url = f"{endpoint}{place_of(service, name)[1]}"
        *tries, control, direct = await asyncio.gather(
            *(try_token(self.new_transport, url, violating) for _ in range(_TRIES)),
            try_token(self.new_transport, url, complying),
            try_request(self.new_transport, self._shared_key(service, account, url, key=key)),
        )
        return _Place(where, tuple(tries), control, direct, before)

    def _violating(self, service: Service, account: AccountFacts, name: str, *, key: str) -> VerificationToken:
        resource, path = place_of(service, name)
        expires = self.clock().replace(microsecond=0) + LIFETIME
        query = mint_read_token(
            service=service,
            account=account.name,
            resource=resource,
            starts=None,
            expires=expires,
            key=key,
            without_start=True,
        )
        return VerificationToken(service, f"{account.endpoints[service]}{path}", query, expires)

    def _complying(self, service: Service, account: AccountFacts, name: str, *, key: str) -> str:
        starts, expires = token_period(account, self.clock())
        resource, _ = place_of(service, name)
        return mint_read_token(
            service=service, account=account.name, resource=resource, starts=starts, expires=expires, key=key
        )

    def _shared_key(self, service: Service, account: AccountFacts, url: str, *, key: str) -> HttpRequest:
        """Return a request that reads the same object, signed by the key (REST: "Authorize with Shared Key")."""
        given = {
            "Accept": "application/json",
            "x-ms-date": format_datetime(self.clock(), usegmt=True),
            "x-ms-version": _VERSION,
        }
        given["Authorization"] = authorization(
            service=service, account=account.name, method="GET", url=url, headers=given, key=key
        )
        return HttpRequest("GET", url, headers=given)


def _endpoints(service: Service, account: AccountFacts) -> tuple[tuple[str, str], ...]:
    """Return the endpoints of a service, by name. A Shared Key request names the account without "-secondary"."""
    secondary = account.secondary_endpoints.get(service)
    primary = ((service.value, account.endpoints[service]),)
    return primary if secondary is None else (*primary, (f"{service.value} (secondary)", secondary))
