"""Verifies with tokens of our own that a credential is revoked; the leaked token is sent nowhere (design decision 5).

A verification token is a SAS over https for one random object that does not exist. While the key or policy that it
depends on is in force, Azure accepts it and answers 404. After that, Azure answers 403 AuthenticationFailed. A
control, the same token by something that is in force (for a key, the new one), is accepted meanwhile, so that a
firewall or a broken request is not taken for a revoked credential.
Codes: REST, "Common REST API error codes" and "Status and error codes" of each service.

A SAS expiration policy of the account refuses tokens under the same code as a wrong signature. Ours fit the policy,
and a refusal that may be the policy's shows nothing (docs/decisions/0030-tokens-of-ours-fit-the-sas-policy.md).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from urllib.parse import parse_qsl, urlsplit

from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest

from shared.cloud.data_plane import Transport, send
from shared.domain.account import KEPT_OUT, AccountFacts, SasPolicy
from shared.domain.execution import Execution, Outcome, Verification, VerificationToken
from shared.domain.text import Foreign
from shared.sas import Service, mint_read_token

LIFETIME = timedelta(minutes=30)
START_MARGIN = timedelta(minutes=5)  # how far a start lies back, for clocks that differ
_TRIES = 3
_EXPIRY_MARGIN = timedelta(minutes=1)  # an expired token is refused too, which shows nothing
_PATIENCE = timedelta(minutes=2)  # how long an undecided data plane is asked again before ARM's answer must do

# The first words of AuthenticationErrorDetail where the SAS expiration policy refuses a token:
# AzureStorageExplorer#8845 ("Policy violated by no signed start."), and the query of azure-docs,
# sas-expiration-policy.md.
_POLICY_VIOLATED = "policy violated"
_BY_SAS_POLICY = "the account's SAS expiration policy refuses the token, whatever key signed it"

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


class Answer(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Try:
    """The result of one request with a verification token: the answer, and what Azure said in a few words."""

    answer: Answer
    said: str
    by_sas_policy: bool = False  # Azure said that the account's SAS expiration policy refuses the token


@dataclass(frozen=True, slots=True)
class Subject:
    """What was revoked: how the evidence calls a token that depends on it, and the control.

    `accepted` says how Azure accepts it. With `control_decides`, a token that was accepted before shows nothing
    unless its control is accepted now: Azure may refuse the key that signed both.
    """

    token: str
    control: str
    control_decides: bool = False
    accepted: str = "404"


OLD_KEY = Subject("a token signed by the old key", "the same token signed by the new key")


@dataclass(frozen=True, slots=True)
class Probe:
    """One question to the data plane. `control` is the query of a token that must be accepted."""

    subject: Subject
    token: VerificationToken
    control: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class EndpointResult:
    """All that is known of one endpoint. `control` is the try with the token that must be accepted."""

    name: str  # "blob", "blob (secondary)"
    tries: tuple[Try, ...]
    control: Try
    accepted_before: bool | None
    subject: Subject = OLD_KEY

    @property
    def accepted(self) -> bool:
        return any(attempt.answer is Answer.ACCEPTED for attempt in self.tries)

    @property
    def refused(self) -> bool:
        before = self.accepted_before is True and not self.subject.control_decides
        shown_good = self.control.answer is Answer.ACCEPTED or before
        return shown_good and all(attempt.answer is Answer.REFUSED for attempt in self.tries)

    @property
    def evidence(self) -> str:
        """What was observed, as a sentence to follow the endpoint's name."""
        if self.accepted:
            return f"{self.subject.token} is still accepted."
        if not self.refused:
            said = next(
                (t.said for t in (*self.tries, self.control) if t.answer is Answer.UNDECIDED),
                self.control.said,
            )
            return f"not decided: {said}."
        before = f"accepted before ({self.subject.accepted}) and " if self.accepted_before else ""
        now = f"; {self.subject.control} is accepted" if self.control.answer is Answer.ACCEPTED else ""
        return (
            f"{self.subject.token} was {before}refused {len(self.tries)} times on fresh "
            f"connections ({self.tries[0].said}){now}."
        )


@dataclass(frozen=True, slots=True)
class Verifier:
    """Mints verification tokens and tries them, each on a connection of its own."""

    new_transport: Callable[[], Transport]
    _: KW_ONLY
    clock: Callable[[], datetime]
    new_id: Callable[[], str]

    def mint(self, account: AccountFacts, services: Iterable[Service], *, key: str) -> tuple[VerificationToken, ...]:
        """Return a verification token for each of `services` that the account has an endpoint for."""
        starts, expires = token_period(account, self.clock())
        name = object_name(self.new_id())
        return tuple(
            _mint(service, account, name, key=key, starts=starts, expires=expires)
            for service in sorted(services)
            if service in account.endpoints
        )

    async def try_before(self, token: VerificationToken) -> VerificationToken:
        """Return the token with whether it was accepted before the execution."""
        attempt = await self._try(token.url, token.query)
        known = {Answer.ACCEPTED: True, Answer.REFUSED: False}
        return replace(token, accepted_before=known.get(attempt.answer))

    @asynccontextmanager
    async def trying(self, tokens: Iterable[VerificationToken]) -> AsyncIterator[list[VerificationToken]]:
        """Try `tokens` during the execution; nothing waits for the answers.

        After the block, the list that it was given holds the tokens with what is known of them by then.
        """
        known = list(tokens)
        tries = [asyncio.create_task(self.try_before(token)) for token in known]
        await asyncio.sleep(0)  # lets the tries start first
        try:
            yield known
        finally:
            for task in tries:
                task.cancel()
            # A try may fail in any way: it is no more than a sign, and the action was executed.
            tried = await asyncio.gather(*tries, return_exceptions=True)
            pairs = zip(known, tried, strict=True)
            known[:] = [outcome if isinstance(outcome, VerificationToken) else token for token, outcome in pairs]

    async def verify(
        self, execution: Execution, account: AccountFacts, *, changed: bool, new_key: str
    ) -> Verification:
        """Return what is verified by now of a key. `changed`: ARM lists another key than the revoked one."""
        if not changed:
            return Verification(Outcome.STILL_ALIVE, self.clock(), (f"ARM still lists the old {execution.target}.",))
        by_arm = f"ARM: the hash of {execution.target} is no longer that of the key that signed the leak."
        probes = [
            Probe(OLD_KEY, token, _by_new_key(token, account, new_key)) for token in execution.verification_tokens
        ]
        return await self.verdict(execution, account, probes, shown=by_arm)

    async def verdict(
        self, execution: Execution, account: AccountFacts, probes: Iterable[Probe], *, shown: str
    ) -> Verification:
        """Return what the data plane says by now, and what is `shown` of the change (one English sentence)."""
        usable = [probe for probe in probes if probe.token.expires - _EXPIRY_MARGIN > self.clock()]
        results = await asyncio.gather(*(self._ask(probe, account) for probe in usable))
        endpoints = [endpoint for group in results for endpoint in group]
        evidence = (shown, *_grouped(endpoints))
        accepted = any(endpoint.accepted for endpoint in endpoints)
        return Verification(judge(execution, endpoints, now=self.clock()), self.clock(), evidence, accepted)

    async def _ask(self, probe: Probe, account: AccountFacts) -> list[EndpointResult]:
        token = probe.token
        places = {token.service.value: token.url}
        secondary = account.secondary_endpoints.get(token.service)
        if secondary is not None:
            primary = account.endpoints[token.service]
            places[f"{token.service.value} (secondary)"] = secondary + token.url.removeprefix(primary)
        policy = account.sas_policy
        return [
            EndpointResult(
                name=place,
                tries=tuple(
                    unless_blocked(attempt, policy, token.query)
                    for attempt in await asyncio.gather(*(self._try(url, token.query) for _ in range(_TRIES)))
                ),
                control=unless_blocked(await self._try(url, probe.control), policy, probe.control),
                accepted_before=token.accepted_before if url == token.url else None,
                subject=probe.subject,
            )
            for place, url in places.items()
        ]

    async def _try(self, url: str, query: str) -> Try:
        return await try_token(self.new_transport, url, query)


async def try_token(new_transport: Callable[[], Transport], url: str, query: str) -> Try:
    """Send one GET request with the token `query`, on a fresh connection. The URL is in no log and no exception."""
    separator = "&" if "?" in url else "?"
    return await try_request(
        new_transport, HttpRequest("GET", f"{url}{separator}{query}", headers={"Accept": "application/json"})
    )


async def try_request(new_transport: Callable[[], Transport], request: HttpRequest) -> Try:
    """Send one request that is authorized in whatever way, on a fresh connection."""
    try:
        async with new_transport() as transport:
            answer = await send(transport, request)
            return read_answer(answer.status, answer.code, answer.detail)
    except AzureError as error:
        return Try(Answer.UNDECIDED, f"no answer from the data plane ({type(error).__name__})")


def read_answer(status: int, code: str, detail: str = "") -> Try:
    """Return what an answer of the data plane says of the signature.

    `code` is Azure's error code and `detail` its AuthenticationErrorDetail, or empty.
    """
    said = f"{status} {Foreign(code)}".strip()
    if status in (200, 404) or code in _SIGNATURE_WAS_GOOD:
        return Try(Answer.ACCEPTED, said)
    if status == 403 and code == "AuthenticationFailed":
        if detail.lower().startswith(_POLICY_VIOLATED):
            return Try(Answer.UNDECIDED, f"{said}: {_BY_SAS_POLICY}", by_sas_policy=True)
        return Try(Answer.REFUSED, said)
    hint = KEPT_OUT.get(code)
    return Try(Answer.UNDECIDED, f"{said}: {hint}" if hint else said)


def unless_blocked(attempt: Try, policy: SasPolicy | None, query: str) -> Try:
    """Return `attempt` with the token `query`; undecided where the account's SAS policy is a reason to refuse it.

    A response to HEAD and one of the table service do not say why the token was refused.
    """
    if attempt.answer is Answer.REFUSED and policy is not None and policy.refuses(dict(parse_qsl(query))):
        return Try(Answer.UNDECIDED, f"{attempt.said}: {_BY_SAS_POLICY}")
    return attempt


def token_period(account: AccountFacts, now: datetime) -> tuple[datetime, datetime]:
    """Return start and end of a token of ours, in whole seconds: LIFETIME from now, or as the SAS policy allows."""
    whole = _longest(account)
    starts = (now - min(START_MARGIN, whole / 4)).astimezone(UTC).replace(microsecond=0)
    return starts, starts + whole


def _longest(account: AccountFacts) -> timedelta:
    """Return how long a token of ours is valid in all."""
    period = account.sas_policy.period if account.sas_policy is not None else None
    return min(LIFETIME + START_MARGIN, period) if period is not None else LIFETIME + START_MARGIN


def control_start(account: AccountFacts, expires: datetime) -> datetime:
    """Return the start of a control that ends with a token of ours, at `expires`."""
    return expires - _longest(account)


def judge(execution: Execution, endpoints: Iterable[EndpointResult], *, now: datetime) -> Outcome:
    """Return the outcome of the endpoints' answers, given that a change is shown."""
    results = tuple(endpoints)
    waited = now - execution.at
    if any(result.accepted for result in results):
        return Outcome.PENDING if waited < LIFETIME - 3 * _EXPIRY_MARGIN else Outcome.STILL_ALIVE
    undecided = any(not result.refused for result in results)
    if undecided and waited < _PATIENCE:
        return Outcome.PENDING
    return Outcome.PROVEN if any(result.refused for result in results) else Outcome.ARM_ONLY


def _grouped(endpoints: Iterable[EndpointResult]) -> tuple[str, ...]:
    """Return the evidence, with one sentence for all endpoints that it is the same for."""
    names: dict[str, list[str]] = {}
    for endpoint in endpoints:
        names.setdefault(endpoint.evidence, []).append(endpoint.name)
    return tuple(f"{', '.join(group)}: {evidence}" for evidence, group in names.items())


def place_of(service: Service, name: str) -> tuple[str, str]:
    """Return what a token for the object `name` that does not exist is signed for, and the path to read it."""
    return {
        Service.BLOB: (f"{name}/none", f"{name}/none"),
        Service.FILE: (f"{name}/none", f"{name}/none"),
        Service.QUEUE: (name, f"{name}/messages?peekonly=true"),
        Service.TABLE: (name, f"{name}()"),
    }[service]


def object_name(random_id: str) -> str:
    """Return the name of an object that does not exist. `random_id` is a GUID."""
    return f"sasquashproof{random_id.replace('-', '')[:16]}"


def _by_new_key(token: VerificationToken, account: AccountFacts, new_key: str) -> str:
    """Return the query of the same token signed with the new key."""
    name = urlsplit(token.url).path.strip("/").split("/")[0].removesuffix("()")
    starts = control_start(account, token.expires)
    return _mint(token.service, account, name, key=new_key, starts=starts, expires=token.expires).query


def _mint(
    service: Service, account: AccountFacts, name: str, *, key: str, starts: datetime, expires: datetime
) -> VerificationToken:
    resource, path = place_of(service, name)
    query = mint_read_token(
        service=service, account=account.name, resource=resource, starts=starts, expires=expires, key=key
    )
    return VerificationToken(service, f"{account.endpoints[service]}{path}", query, expires)
