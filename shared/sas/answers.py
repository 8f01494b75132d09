"""The JSON results of `python -m shared.sas`: the credentials of a text, and the keys that signed them."""

from collections.abc import Mapping

from shared.redaction import redact

from .credential import Credential
from .extract import extract_leaks
from .hosts import EMULATOR_ACCOUNT
from .leak import Leak
from .signature import Undecidable, verify

_KEY_NAMES = ("key1", "key2")

type Keys = Mapping[str, Mapping[str, str]]
"""By account: key name → base64 key."""


class BadRequest(ValueError):
    """An input line is malformed. The message names the error, and does not quote the line."""


def answer(request: object) -> dict[str, object]:
    """Return the result of one input line, `{"id", "text", "keys"?}`. Raises BadRequest."""
    if not isinstance(request, Mapping):
        raise BadRequest("The line is not a JSON object.")
    text, keys = request.get("text"), request.get("keys")
    if not isinstance(text, str):
        raise BadRequest('"text" is missing or not a string.')
    accounts = _keys({} if keys is None else keys)
    return {
        "id": request.get("id"),
        "credentials": [
            _described(*_signed(leak, accounts))
            for leak in extract_leaks(text, emulator=EMULATOR_ACCOUNT in accounts)
        ],
    }


def described(leak: Leak) -> dict[str, object]:
    """Return the fields of a leak, without any key to verify it."""
    row = _described(*_signed(leak, {}))
    path = row["path"]
    return row | {"path": redact(path) if isinstance(path, str) else None}


def _keys(data: object) -> Keys:
    """Return key1 and key2 of each account: no other key signs."""
    if not isinstance(data, Mapping) or not all(isinstance(keys, Mapping) for keys in data.values()):
        raise BadRequest('"keys" is not an object of objects: {account: {"key1": …, "key2": …}}.')
    return {
        str(account).lower(): {name: keys[name] for name in _KEY_NAMES if isinstance(keys.get(name), str)}
        for account, keys in data.items()
    }


def _signed(leak: Leak, accounts: Keys) -> tuple[Credential, str, str | None]:
    """Return the reading of a leak that a key signed, that key and its account; the first reading if none did."""
    readings = (leak.credential, *leak.others)
    signers = [_signer(reading, accounts) for reading in readings]
    for reading, (signed_by, account) in zip(readings, signers, strict=True):
        if signed_by in _KEY_NAMES:
            return reading, signed_by, account
    unknown = any(signed_by == "unknown" for signed_by, _ in signers)
    signed_by, account = signers[0]
    return leak.credential, "unknown" if unknown else signed_by, account


def _described(credential: Credential, signed_by: str, account: str | None) -> dict[str, object]:
    expires = credential.expires
    return {
        "credential": credential.kind,
        "service": credential.service,
        "account": account,
        "resource_kind": credential.resource_kind,
        "container": credential.container,
        "path": credential.resource_path or None,
        "policy": credential.policy,
        "permissions": credential.permissions,
        "expires": expires.strftime("%Y-%m-%dT%H:%M:%SZ") if expires else None,
        "signed_by": signed_by,
        "fingerprint": credential.fingerprint,
    }


def _signer(credential: Credential, accounts: Keys) -> tuple[str, str | None]:
    """Return the key that signed, and the account: that of the text, or else the one whose key matches."""
    named = credential.account
    candidates = accounts if named is None else {named: accounts[named]} if named in accounts else {}
    answers = {
        account: verify(credential, account=account, keys=keys) for account, keys in candidates.items() if keys
    }
    for account, answer in answers.items():
        if answer.key is not None:
            return answer.key, account
    doubts = {answer.undecidable for answer in answers.values()}
    if Undecidable.DELEGATION in doubts or credential.parameter("skoid") is not None:
        return "delegation", named
    return ("none" if doubts == {None} else "unknown"), named
