"""SAS tokens that Azurite does not support fully, replaced by tokens that it supports.

A token with a stored access policy or with a user delegation key is verified here: signature, policy, time, and the
rights of the principal that the key was issued to. What it allows is then signed as an ad hoc SAS, with which Azurite
decides whether the operation is permitted.
"""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote, unquote

from local.storage import delegation
from local.storage.access import Credentials, StorageRequest, may_use_data
from local.storage.access_policies import Grant, an_hour_from, check_time, grant, policy_of
from local.storage.errors import Refusal
from local.tenant.model import AccessPolicy, Account, Cloud, now
from shared import sas
from shared.sas.classify import kind_of
from shared.sas.fingerprint import key_bytes
from shared.sas.kinds import SNAPSHOT_TIME, TOKEN_PARAMETERS
from shared.sas.signature import sign, strings_to_sign

# Supported by Azurite for every service, and without fields that Azurite lacks.
_VERSION = "2019-02-02"
# A directory or a version of a blob, which Azurite lacks: the signature is for this exact URL.
_SIGNED_AS = {"d": "c", "bv": "b"}
_KEPT = ("spr", "sip", "tn", "spk", "srk", "epk", "erk", "rscc", "rscd", "rsce", "rscl", "rsct")
_BOUND = ("sduoid", "srh", "srq")


def admit(request: StorageRequest, account: Account, cloud: Cloud) -> StorageRequest:
    """Return the request with a SAS that Azurite can evaluate. Raises Refusal."""
    if request.credentials is Credentials.DELEGATION_SAS:
        return _resigned(request, account, _delegated(request, account, cloud))
    if request.credentials is Credentials.SERVICE_SAS and request.parameter("si") is not None:
        return _resigned(request, account, granted(request, account))
    return request


def granted(request: StorageRequest, account: Account) -> Grant:
    """Return what a SAS signed with an account key allows, including its policy. Raises Refusal."""
    credential = credential_of(request, account)
    if credential is None or sas.verify(credential, account=account.name, keys=account.keys).key is None:
        raise Refusal("AuthenticationFailed", "Signature did not match.")
    own = AccessPolicy(credential.parameter("st"), credential.parameter("se"), credential.parameter("sp"))
    policy = AccessPolicy()
    if credential.policy is not None:
        key = policy_key(request.host.service, credential.container or "")
        policy = policy_of(account.policies.get(key, ()), credential.policy)
    allowed = grant(own, policy)
    check_time(allowed.start, allowed.expiry, now=now())
    return allowed


def policy_key(service: str, resource: str) -> tuple[str, str]:
    """Return the key of a resource in `Account.policies`. Names of tables are case-insensitive."""
    return service, resource.lower() if service == "table" else resource


def credential_of(request: StorageRequest, account: Account) -> sas.Credential | None:
    """Return the SAS of the request as signed, for the primary endpoint; None if it is not a valid SAS."""
    parameters = {name: value for name, value in _pairs(request) if name in TOKEN_PARAMETERS}
    time = SNAPSHOT_TIME.get(parameters.get("sr", ""))
    if time is not None:
        parameters |= {name: value for name, value in _pairs(request) if name == time}
    host = f"{account.name}.{request.host.service}.core.windows.net"
    path = request.decoded_path.lstrip("/")
    kind = kind_of(parameters, host=host)
    if kind is None:
        return None
    try:
        return sas.Credential(
            kind=kind,
            host=host,
            path=path or None,
            parameters=tuple(sorted(parameters.items())),
            signature_sha256=sas.signature_sha256(request.parameter("sig") or ""),
            key_sha256=None,
        )
    except sas.InvalidCredential:
        return None


def _delegated(request: StorageRequest, account: Account, cloud: Cloud) -> Grant:
    """Return what a user delegation SAS allows. Raises Refusal.

    After the signature, the principal that the key was issued to must be allowed to do the operation ("Create a user
    delegation SAS", section "Authorize a user delegation SAS").
    """
    credential = credential_of(request, account)
    if credential is None:
        raise Refusal("AuthenticationFailed", "Signature did not match.")
    signature = request.parameter("sig") or ""
    key = delegation.signed_by(account, credential, signature, service=request.host.service)
    if key is None:
        raise Refusal("AuthenticationFailed", "Signature did not match.")
    if credential.policy is not None or any(credential.parameter(name) for name in _BOUND):
        raise Refusal("AuthenticationFailed", "Signature fields not well formed.")
    check_time(key.start, key.expiry, now=now())
    start, expiry = credential.parameter("st"), credential.parameter("se")
    if not expiry or not credential.permissions:
        raise Refusal("AuthenticationFailed", "se and sp are mandatory. Cannot be empty")
    check_time(start, expiry, now=now())
    identity = cloud.identity_of(key.object_id)
    if identity is None or not may_use_data(identity, request, account):
        raise Refusal("AuthorizationPermissionMismatch")
    return Grant(start, expiry, credential.permissions)


def _resigned(request: StorageRequest, account: Account, allowed: Grant) -> StorageRequest:
    given = dict(_pairs(request))
    parameters = {name: given[name] for name in _KEPT if given.get(name)}
    parameters |= {"sv": _VERSION, "sp": allowed.permission, "se": an_hour_from(now())}
    if "sr" in given:
        parameters["sr"] = _SIGNED_AS.get(given["sr"], given["sr"])
    kept = [
        pair for pair in request.query.split("&") if unquote(pair.partition("=")[0]) not in TOKEN_PARAMETERS | {"sig"}
    ]
    unsigned = replace(request, query=_query(kept, parameters | {"sig": "A" * 43 + "="}))
    credential = credential_of(unsigned, account)
    text = None if credential is None else next(strings_to_sign(credential, account=account.name), None)
    if text is None:
        raise Refusal("AuthenticationFailed", "Signature did not match.")
    signature = sign(text, key_bytes(account.keys["key1"]))
    return replace(request, query=_query(kept, parameters | {"sig": signature}))


def _pairs(request: StorageRequest) -> list[tuple[str, str]]:
    """Return the decoded parameters of the query; of several with one name the first, as in signatures."""
    pairs: dict[str, str] = {}
    for pair in request.query.split("&"):
        name, _, value = pair.partition("=")
        pairs.setdefault(unquote(name), unquote(value))
    return list(pairs.items())


def _query(kept: list[str], parameters: Mapping[str, str]) -> str:
    return "&".join([*kept, *(f"{name}={quote(value, safe='')}" for name, value in parameters.items())])
