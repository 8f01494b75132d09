"""The list of SAS in use, as the API and the command return it."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.redaction import redact
from shared.sas import Kind, Severity, assess
from shared.watch.signers import SignedBy, Signer
from shared.watch.uses import Use, resource_of, url_of

type Time = Annotated[datetime, Meta(tz=True)]
type Count = Annotated[int, Meta(ge=0)]


class SasInUse(msgspec.Struct, frozen=True, kw_only=True):
    """A SAS that the storage logs show in use. Nobody has to have reported it."""

    id: Annotated[str, Meta(pattern=r"^[a-z0-9]{3,24}\.[0-9a-f]{64}$", description="Account and signature_sha256.")]
    signature_sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="As in the storage logs.")]
    account: str
    kind: Kind
    severity: Annotated[Severity, Meta(description="How severe it would be if it leaked.")]
    grants: Annotated[str, Meta(description="What it allows its holder to do.")]
    reasons: tuple[str, ...]
    resource: Annotated[
        str | None,
        Meta(description="The container, share, queue or table, with the path in it; null for a whole account."),
    ]
    url: Annotated[str, Meta(description="A URL that it was used with, without its signature.")]
    policy: Annotated[str | None, Meta(description="The stored access policy's id. The policy may have its end.")]
    permissions: str | None
    starts: Time | None
    expires: Time | None
    signed_by: SignedBy
    first_used: Annotated[Time, Meta(description="In the days that were asked for.")]
    last_used: Time
    requests: Count
    accepted: Annotated[Count, Meta(description="Requests with a status below 400.")]
    clients: Annotated[tuple[str, ...], Meta(description="IP addresses, 20 at most.")]
    user_agents: Annotated[tuple[str, ...], Meta(description="20 at most. Clients choose them.")]
    operations: tuple[str, ...]
    revocation: Annotated[
        str | None, Meta(description="The id of its record where it was reported, null where it was not.")
    ] = None


class Unread(msgspec.Struct, frozen=True):
    """An account or a subscription of which something can't be read, and why."""

    name: str
    said: str


class SasPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the SAS in use, the worst first. `limits` say what the list can't show."""

    days: int
    tokens: tuple[SasInUse, ...]
    next: Annotated[str | None, Meta(description="The value of `after` for the next page; null on the last one.")]
    unread: Annotated[
        tuple[Unread, ...],
        Meta(description="Accounts whose keys, and subscriptions whose logs could not be read, with the reason."),
    ]
    unidentified_requests: Annotated[
        int, Meta(description="Requests with a SAS that the logs do not identify, or whose URL can't be read.")
    ]
    limits: Annotated[tuple[str, ...], Meta(description="What the list can't show, in sentences.")]


def shown(use: Use, signer: Signer, *, now: datetime, revocation: str | None) -> SasInUse:
    """Return a token as it is shown."""
    credential, logged = signer.credential, use.logged
    risk = assess(credential, now=now)
    return SasInUse(
        id=use.id,
        signature_sha256=logged.signature_sha256,
        account=logged.account,
        kind=credential.kind,
        severity=risk.severity,
        grants=redact(risk.grants),
        reasons=risk.reasons,
        resource=redact(resource) if (resource := resource_of(credential)) is not None else None,
        url=url_of(credential),
        policy=redact(credential.policy) if credential.policy is not None else None,
        permissions=credential.permissions,
        starts=credential.starts,
        expires=credential.ends,
        signed_by=signer.signed_by,
        first_used=logged.first,
        last_used=logged.last,
        requests=logged.requests,
        accepted=logged.accepted,
        clients=logged.addresses,
        user_agents=logged.agents,
        operations=logged.operations,
        revocation=revocation,
    )
