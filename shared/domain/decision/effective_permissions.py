"""What a token really grants: some of it stands in its stored access policy, or in its delegation key. Pure."""

from dataclasses import replace

from shared.domain.account import PolicyReading
from shared.domain.revocation import Revocation
from shared.sas import Credential, InvalidCredential, Kind


def of_record(revocation: Revocation) -> Credential | None:
    """Return what the leak of a record really granted, as far as is known; None where there is no credential."""
    credential = revocation.finding.credential
    return as_granted(credential, revocation.policy) if credential is not None else None


def as_granted(credential: Credential, reading: PolicyReading | None = None) -> Credential:
    """Return `credential` with the rights and the end that it has in effect, to be weighed and never to be stored.

    A stored access policy counts only for what the token leaves out: a field that both set is refused by Azure. What
    remains unknown is left out, and counts as the worst.
    """
    parameters = dict(credential.parameters)
    added: dict[str, str] = {}
    if reading is not None:
        if "sp" not in parameters and reading.permissions is not None:
            added["sp"] = reading.permissions
        if "se" not in parameters and reading.expires is not None:
            added["se"] = reading.expires.isoformat()
    if credential.kind is Kind.USER_DELEGATION_SAS and credential.ends is not None:
        added["se"] = credential.ends.isoformat()
    try:
        return replace(credential, parameters=tuple(sorted((parameters | added).items())))
    except InvalidCredential:  # rights that no service knows
        return credential
