"""Asks Azure whether it accepts a leaked user delegation SAS: the one use of a leaked token (design decision 5).

The key that signed it can't be read, so its signature can't be verified. The token is sent over https to the
account's own endpoint as ARM names it, never to the host that leaked, in a request that returns no customer data: for
the metadata of the signed blob, file or queue, which has no body, or for an object with a random name where more than
that is signed. It is GET: a refusal says why in its body, which a response to HEAD has not.
REST: "Get Blob Metadata", "Get File Metadata", "Get Queue Metadata", "Query Entities".
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass
from datetime import datetime

from shared.actions.verification import Answer, try_token, unless_blocked
from shared.cloud.data_plane import Transport, quoted_path
from shared.domain.account import AccountFacts
from shared.domain.execution import Liveness
from shared.domain.guid import is_guid
from shared.domain.text import clean
from shared.errors import SasquashError
from shared.sas import Credential, ResourceKind
from shared.sas.classify import moment

_ISSUER_TIMEOUT = 10.0  # seconds; the inline budget of containment is 20
_LONGEST_PATH = 100  # characters of a path in a sentence
_SIGNED_TIME = {ResourceKind.BLOB_SNAPSHOT: "snapshot", ResourceKind.BLOB_VERSION: "versionid"}

type PrincipalExists = Callable[[str], Awaitable[bool]]
"""Whether our tenant has a user or service principal of this object id. Raises SasquashError."""


class CannotBeAsked(ValueError):
    """A token that Azure would refuse, valid or not. The message is one English sentence without its full stop."""


@dataclass(frozen=True, slots=True)
class Question:
    """A GET request for a token to be sent with. `url` is without the token."""

    url: str


@dataclass(frozen=True, slots=True)
class LivenessCheck:
    """Asks Azure once."""

    new_transport: Callable[[], Transport]
    _: KW_ONLY
    principal_exists: PrincipalExists
    tenant_id: str
    clock: Callable[[], datetime]
    new_id: Callable[[], str]

    async def ask(self, credential: Credential, token: str, account: AccountFacts) -> Liveness:
        """Return what Azure says to the leaked user delegation SAS `token`, a query string; never raises for it.

        It is valid if Azure accepts it, and its issuer, if it claims to be of our tenant, exists there.
        """
        try:
            question = question_for(credential, account, name=f"sasquash{self.new_id()}", now=self.clock())
        except CannotBeAsked as reason:
            return Liveness(self.clock(), None, f"It was not tried: {reason}.", credential.path)
        attempt, (issuer_known, issuer) = await asyncio.gather(
            try_token(self.new_transport, question.url, token), self._issuer(credential)
        )
        attempt = unless_blocked(attempt, account.sas_policy, token)
        alive: bool | None = None
        if attempt.answer is Answer.REFUSED:
            alive = False
            said = (
                f"Azure did not accept it at {_place(credential)} ({attempt.said}): it is forged, revoked, expired, "
                "or reported with another path than the one that it was signed for."
            )
        elif attempt.answer is Answer.UNDECIDED:
            said = f"Azure's answer does not show whether it is valid: {attempt.said}."
        elif issuer_known:
            alive = True
            said = f"Azure accepted its signature ({attempt.said}), and {issuer}."
        else:
            said = f"Azure accepted its signature ({attempt.said}), but {issuer}."
        return Liveness(self.clock(), alive, said, credential.path)

    async def _issuer(self, credential: Credential) -> tuple[bool, str]:
        """Return whether nothing speaks against the issuer, and what is known of it in words."""
        issuer = credential.parameter("skoid") or ""
        if (credential.parameter("sktid") or "").lower() != self.tenant_id.lower():
            return True, "its issuer is of another tenant than ours"
        if not is_guid(issuer):
            return False, "it names no valid issuer id"
        try:
            async with asyncio.timeout(_ISSUER_TIMEOUT):
                exists = await self.principal_exists(issuer)
        except SasquashError as error:
            return False, f"whether its issuer exists could not be checked: {str(error).rstrip('.')}"
        except TimeoutError:
            return False, f"whether its issuer exists could not be checked within {_ISSUER_TIMEOUT:.0f} s"
        if not exists:
            return False, f"its issuer ({issuer.lower()}) is not in our tenant, or no longer"
        return True, "its issuer exists in our tenant"


def question_for(credential: Credential, account: AccountFacts, *, name: str, now: datetime) -> Question:
    """Return the request that shows most and returns least. Raises CannotBeAsked.

    `name` is a random one of letters, digits and "-", which no object has.
    """
    _require_whole(credential, now=now)
    service = credential.service
    endpoint = account.endpoints.get(service) if service is not None else None
    if endpoint is None or not endpoint.startswith("https://"):
        raise CannotBeAsked(f"{account.name} has no {service or 'such'} service")
    container = _quoted(credential.container)
    match credential.resource_kind:
        case ResourceKind.TABLE:
            return Question(f"{endpoint}{container}(PartitionKey='{name}',RowKey='{name}')")
        case ResourceKind.QUEUE:
            path = container
        case ResourceKind.CONTAINER | ResourceKind.SHARE:
            path = f"{container}/{name}"
        case ResourceKind.DIRECTORY if credential.resource_path == "":
            path = f"{container}/{name}"
        case ResourceKind.DIRECTORY:
            path = f"{container}/{_quoted(credential.resource_path)}/{name}"
        case _:
            path = f"{container}/{_quoted(credential.resource_path)}"
    return Question(f"{endpoint}{path}?comp=metadata")


def _require_whole(credential: Credential, *, now: datetime) -> None:
    """Refuse a token that Azure refuses because the leak does not contain everything that was signed."""
    names = {name for name, _ in credential.parameters}
    if names & {"sduoid", "skdutid"}:
        raise CannotBeAsked("it is bound to a user (sduoid), and refused without that user's own access token")
    if names & {"srh", "srq"}:
        raise CannotBeAsked("it is bound to the headers or the query of a request (srh, srq), which did not leak")
    time = _SIGNED_TIME.get(credential.resource_kind) if credential.resource_kind is not None else None
    if time is not None and time not in names:
        raise CannotBeAsked(f"the leak lost the {time} that was signed with it")
    starts = [start for start in (credential.starts, moment(credential.parameter("skt"))) if start is not None]
    if starts and max(starts) > now:
        raise CannotBeAsked(f"it is not valid before {max(starts):%Y-%m-%d %H:%M} UTC")


def _quoted(path: str | None) -> str:
    """Percent-encode a path of the leak. A path that a client would change is refused."""
    if not path:
        raise CannotBeAsked("the leak lost the path that was signed with it")
    quoted = quoted_path(path)
    if quoted is None:
        raise CannotBeAsked("the path that leaked with it can't be sent as it is")
    return quoted


def _place(credential: Credential) -> str:
    """Return the path of the leak for a sentence: it comes from outside."""
    return clean(f"/{credential.path or ''}", limit=_LONGEST_PATH)
