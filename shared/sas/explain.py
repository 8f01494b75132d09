"""Explains a leak offline: its kind, what it allows, its severity, and how to revoke it."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from .credential import Credential
from .kinds import Kind
from .risk import Risk, assess

_TITLES = {
    Kind.ACCOUNT_SAS: "Account SAS, signed with an account key",
    Kind.SERVICE_SAS: "Service SAS, signed with an account key",
    Kind.POLICY_SAS: "Service SAS of a stored access policy, signed with an account key",
    Kind.USER_DELEGATION_SAS: "User delegation SAS, signed with a key of Microsoft Entra ID",
    Kind.ACCOUNT_KEY: "Account key",
}
_ACTIONS = {
    Kind.ACCOUNT_SAS: "Regenerate the account key that signed it.",
    Kind.SERVICE_SAS: "Regenerate the account key that signed it.",
    Kind.POLICY_SAS: "Remove or expire the stored access policy; the account key can stay.",
    Kind.USER_DELEGATION_SAS: "Revoke the account's user delegation keys: this revokes all its user delegation SAS.",
    Kind.ACCOUNT_KEY: "Regenerate this key; the account's other key can stay.",
}


def explain(credentials: Sequence[Credential], *, now: datetime) -> str:
    """Return the explanation as text, without any secret."""
    if not credentials:
        return "No Azure Storage credential found.\n"
    return "\n".join("\n".join(_lines(credential, assess(credential, now=now))) + "\n" for credential in credentials)


def explanation(credentials: Sequence[Credential], *, now: datetime) -> dict[str, object]:
    """Return the same as JSON."""
    return {"credentials": [_object(credential, assess(credential, now=now)) for credential in credentials]}


def _lines(credential: Credential, risk: Risk) -> Iterator[str]:
    yield _TITLES[credential.kind]
    rows = [
        ("severity", risk.severity.upper()),
        ("allows", risk.grants),
        *(("because", reason) for reason in risk.reasons),
        *(("note", note) for note in risk.notes),
        ("leaked for", _address(credential)),
        ("policy", credential.policy),
        ("version", credential.version),
        ("to end it", _ACTIONS[credential.kind]),
        ("C3ID", credential.c3id),
        ("fingerprint", credential.fingerprint),
    ]
    for label, value in rows:
        if value:
            yield f"  {label:<12}{value}"


def _object(credential: Credential, risk: Risk) -> dict[str, object]:
    return {
        "credential": credential.to_json(),
        "account": credential.account,
        "service": credential.service,
        "resource_kind": credential.resource_kind,
        "container": credential.container,
        "path": credential.resource_path or None,
        "policy": credential.policy,
        "permissions": credential.permissions,
        "starts": credential.starts.isoformat() if credential.starts else None,
        "expires": credential.expires.isoformat() if credential.expires else None,
        "severity": risk.severity,
        "grants": risk.grants,
        "reasons": list(risk.reasons),
        "notes": list(risk.notes),
        "action": _ACTIONS[credential.kind],
        "c3id": credential.c3id,
        "fingerprint": credential.fingerprint,
    }


def _address(credential: Credential) -> str | None:
    return f"{credential.host}/{credential.path or ''}" if credential.host else None
