"""What would be done about an attributed leak, to what, why, and who breaks. Pure."""

import hashlib

from shared.decide.attribution import Verdict
from shared.revocation import AccountFacts, Plan
from shared.sas import Credential, Kind

ACCOUNT_KEY = "account_key"


def make(credential: Credential, verdict: Verdict, account: AccountFacts, *, breaks: tuple[str, ...]) -> Plan:
    """Return the plan to regenerate the one key that is behind the leak; the other key is never touched."""
    key, fingerprint = verdict.key_name, verdict.key_sha256
    if key is None or fingerprint is None:
        raise ValueError("a plan needs a verdict that names a key")
    what = "The leaked text is" if credential.kind is Kind.ACCOUNT_KEY else "The leaked token was signed by"
    return Plan(
        lever=ACCOUNT_KEY,
        account_id=account.id,
        target=key,
        key_sha256=fingerprint,
        reason=f"{what} {key} of {account.name}, and regenerating that key is the only way to revoke it at once.",
        breaks=breaks,
        digest=digest(lever=ACCOUNT_KEY, account_id=account.id, target=key, version=fingerprint),
    )


def digest(*, lever: str, account_id: str, target: str, version: str) -> str:
    """Return what a decision binds to. It goes stale with the key's hash, or the policy's Last-Modified."""
    return hashlib.sha256("|".join((lever, account_id.lower(), target, version)).encode()).hexdigest()
