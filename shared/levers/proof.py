"""Proof that a key is dead, by tokens of our own; the leaked token is sent nowhere (design decision 5).

A proof token is a service SAS over https that may read one random object that does not exist. While its key lives,
Azure accepts it and answers 404. When the key is gone, Azure answers 403 AuthenticationFailed. The same token signed
with the new key is accepted meanwhile, so that a firewall or a broken request can't pass for a dead key.
Codes: REST, "Common REST API error codes" and "Status and error codes" of each service. Blob, queue and file say
theirs in the header x-ms-error-code, the table service in the body alone (OData's error).
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest

from shared.revocation import AccountFacts, Outcome, Proof, ProofToken, Pull
from shared.sas import Service, mint_read_token

LIFETIME = timedelta(minutes=30)
_TRIES = 3
_EXPIRY_MARGIN = timedelta(minutes=1)  # an expired token is refused too, which proves nothing
_PATIENCE = timedelta(minutes=2)  # how long an undecided data plane is asked again before ARM's word must do
_CONNECT_TIMEOUT = 5.0
_READ_TIMEOUT = 10.0
_LONGEST_ERROR = 8192  # bytes of an answer in which a code is looked for
_CODE_IN_BODY = re.compile(rb'"code"\s*:\s*"([A-Za-z]{1,80})"|<(?:m:)?code>([A-Za-z]{1,80})<', re.IGNORECASE)

# Refusals that are decided after the signature was found good.
_SIGNATURE_WAS_GOOD = frozenset(
    {
        "AuthorizationPermissionMismatch",
        "AuthorizationProtocolMismatch",
        "AuthorizationResourceTypeMismatch",
        "AuthorizationServiceMismatch",
        "AuthorizationSourceIPMismatch",
    }
)
_NOT_ABOUT_THE_KEY = {
    "AuthorizationFailure": "the account's network rules keep us out",
    "KeyBasedAuthenticationNotPermitted": "shared key access is switched off for the account",
}


class Answer(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Try:
    """What one request with a proof token brought: the answer, and what Azure said in a few words."""

    answer: Answer
    said: str


@dataclass(frozen=True, slots=True)
class EndpointResult:
    """All that is known of one endpoint. `control` is the try with the new key."""

    name: str  # "blob", "blob (secondary)"
    tries: tuple[Try, ...]
    control: Try
    accepted_before: bool | None

    @property
    def alive(self) -> bool:
        return any(attempt.answer is Answer.ACCEPTED for attempt in self.tries)

    @property
    def dead(self) -> bool:
        shown_good = self.control.answer is Answer.ACCEPTED or self.accepted_before is True
        return shown_good and all(attempt.answer is Answer.REFUSED for attempt in self.tries)

    @property
    def evidence(self) -> str:
        """What was seen, as a sentence to be put behind the endpoint's name."""
        if self.alive:
            return "a token signed by the old key is still accepted."
        if not self.dead:
            said = next(
                (t.said for t in (*self.tries, self.control) if t.answer is Answer.UNDECIDED),
                self.control.said,
            )
            return f"not decided: {said}."
        before = "accepted before (404) and " if self.accepted_before else ""
        now = "; the same token signed by the new key is accepted" if self.control.answer is Answer.ACCEPTED else ""
        return (
            f"a token signed by the old key was {before}refused {len(self.tries)} times on fresh "
            f"connections ({self.tries[0].said}){now}."
        )


class Prover:
    """Mints proof tokens and tries them, each on a connection of its own."""

    def __init__(
        self,
        new_transport: Callable[[], AsyncHttpTransport[HttpRequest, AsyncHttpResponse]],
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._new_transport = new_transport
        self._clock = clock
        self._new_id = new_id

    def mint(self, account: AccountFacts, services: Iterable[Service], *, key: str) -> tuple[ProofToken, ...]:
        """Return a proof token for each of `services` that the account has an endpoint for."""
        expires = (self._clock() + LIFETIME).replace(microsecond=0)
        name = f"sasquashproof{self._new_id().replace('-', '')[:16]}"
        return tuple(
            _mint(service, account.endpoints[service], account.name, name, key=key, expires=expires)
            for service in sorted(services)
            if service in account.endpoints
        )

    async def try_before(self, token: ProofToken) -> ProofToken:
        """Return the token with what it was worth before the lever was pulled."""
        attempt = await self._try(token.url, token.query)
        known = {Answer.ACCEPTED: True, Answer.REFUSED: False}
        return replace(token, accepted_before=known.get(attempt.answer))

    async def prove(self, pull: Pull, account: AccountFacts, *, changed: bool, new_key: str) -> Proof:
        """Return what is proven by now. `changed`: ARM lists another key than the one that was to die."""
        now = self._clock()
        if not changed:
            return Proof(Outcome.STILL_ALIVE, now, (f"ARM still lists the old {pull.target}.",))
        by_arm = f"ARM: the hash of {pull.target} is no longer that of the leaked credential's key."
        usable = [token for token in pull.proof_tokens if token.expires - _EXPIRY_MARGIN > now]
        results = await asyncio.gather(*(self._ask(t, account, new_key) for t in usable))
        endpoints = [endpoint for group in results for endpoint in group]
        evidence = (by_arm, *_grouped(endpoints))
        accepted = any(endpoint.alive for endpoint in endpoints)
        return Proof(judge(pull, endpoints, now=self._clock()), self._clock(), evidence, accepted)

    async def _ask(self, token: ProofToken, account: AccountFacts, new_key: str) -> list[EndpointResult]:
        name = urlsplit(token.url).path.strip("/").split("/")[0].removesuffix("()")
        fresh = _mint(
            token.service,
            account.endpoints[token.service],
            account.name,
            name,
            key=new_key,
            expires=token.expires,
        )
        places = {token.service.value: token.url}
        secondary = account.secondary_endpoints.get(token.service)
        if secondary is not None:
            primary = account.endpoints[token.service]
            places[f"{token.service.value} (secondary)"] = secondary + token.url.removeprefix(primary)
        return [
            EndpointResult(
                name=place,
                tries=tuple(await asyncio.gather(*(self._try(url, token.query) for _ in range(_TRIES)))),
                control=await self._try(url, fresh.query),
                accepted_before=token.accepted_before if url == token.url else None,
            )
            for place, url in places.items()
        ]

    async def _try(self, url: str, query: str) -> Try:
        """Send one request with a proof token, on a fresh connection. The URL is in no log and no exception."""
        separator = "&" if "?" in url else "?"
        request = HttpRequest("GET", f"{url}{separator}{query}", headers={"Accept": "application/json"})
        try:
            async with self._new_transport() as transport:
                response = await transport.send(
                    request, connection_timeout=_CONNECT_TIMEOUT, read_timeout=_READ_TIMEOUT
                )
                code = response.headers.get("x-ms-error-code") or _code_in(await response.read())
                return read_answer(response.status_code, code)
        except AzureError as error:
            return Try(Answer.UNDECIDED, f"no answer from the data plane ({type(error).__name__})")


def _code_in(body: bytes) -> str:
    match = _CODE_IN_BODY.search(body, 0, _LONGEST_ERROR)
    return (match[1] or match[2]).decode() if match is not None else ""


def read_answer(status: int, code: str) -> Try:
    """Return what an answer of the data plane says about the signature. `code` is Azure's error code, or empty."""
    said = f"{status} {code}".strip()
    if status in (200, 404) or code in _SIGNATURE_WAS_GOOD:
        return Try(Answer.ACCEPTED, said)
    if status == 403 and code == "AuthenticationFailed":
        return Try(Answer.REFUSED, said)
    hint = _NOT_ABOUT_THE_KEY.get(code)
    return Try(Answer.UNDECIDED, f"{said}: {hint}" if hint else said)


def judge(pull: Pull, endpoints: Iterable[EndpointResult], *, now: datetime) -> Outcome:
    """Return what the endpoints' answers amount to, given that ARM shows another key."""
    results = tuple(endpoints)
    waited = now - pull.at
    if any(result.alive for result in results):
        return Outcome.PENDING if waited < LIFETIME - 3 * _EXPIRY_MARGIN else Outcome.STILL_ALIVE
    undecided = any(not result.dead for result in results)
    if undecided and waited < _PATIENCE:
        return Outcome.PENDING
    return Outcome.PROVEN if any(result.dead for result in results) else Outcome.ARM_ONLY


def _grouped(endpoints: Iterable[EndpointResult]) -> tuple[str, ...]:
    """Return the evidence with one sentence for all endpoints of which the same is to be said."""
    names: dict[str, list[str]] = {}
    for endpoint in endpoints:
        names.setdefault(endpoint.evidence, []).append(endpoint.name)
    return tuple(f"{', '.join(group)}: {evidence}" for evidence, group in names.items())


def _mint(service: Service, endpoint: str, account: str, name: str, *, key: str, expires: datetime) -> ProofToken:
    resource, path = {
        Service.BLOB: (f"{name}/none", f"{name}/none"),
        Service.FILE: (f"{name}/none", f"{name}/none"),
        Service.QUEUE: (name, f"{name}/messages?peekonly=true"),
        Service.TABLE: (name, f"{name}()"),
    }[service]
    query = mint_read_token(service=service, account=account, resource=resource, expires=expires, key=key)
    return ProofToken(service, f"{endpoint}{path}", query, expires)
