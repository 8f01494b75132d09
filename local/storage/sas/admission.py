"""Admits the requests with a SAS, and signs for Azurite what they allow.

A token is read and verified here: its form, signature, policy, period, address, and for a user delegation SAS the
rights of the principal that the key was issued to. What it allows is then signed as an ad hoc SAS of a form that
Azurite supports for every service, and Azurite decides whether the operation is permitted.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import quote, unquote_plus

from local.storage.access import Credentials, StorageRequest, may_use_data
from local.storage.access_policies import Grant, an_hour_from, check_time, grant, policy_of
from local.storage.errors import Refusal
from local.storage.sas import expiration_policy
from local.storage.sas.signing import delegation_key, sign, signing_key, string_to_sign
from local.storage.sas.token import FIELDS, SERVICE_LETTERS, Kind, Token, address_range, decoded, read
from local.storage.times import moment
from local.tenant.model import AccessPolicy, Account, Cloud, now

_SAS = frozenset({Credentials.ACCOUNT_SAS, Credentials.SERVICE_SAS, Credentials.DELEGATION_SAS})
_RESTRICTED_SINCE = "2015-04-05"
_LEGACY_LIFE = timedelta(hours=1)  # of a token without a version and without a policy
_DID_NOT_MATCH = "Signature did not match."
# Supported by Azurite for every service, and without fields that Azurite lacks.
_AZURITE_VERSION = "2019-02-02"
# A directory or a version of a blob, which Azurite lacks: the signature is for this exact URL.
_AZURITE_RESOURCE = {"d": "c", "bv": "b"}
_AZURITE_FIELDS = ("tn", "spk", "srk", "epk", "erk", "ss", "srt", *("rscc", "rscd", "rsce", "rscl", "rsct"))
_AZURITE_ACCOUNT_PERMISSIONS = "rwdxlacuptfiy"
_BOUND = ("sduoid", "skdutid", "srh", "srq")


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request to be answered. `grant` is what its SAS allows; None for other credentials."""

    request: StorageRequest
    grant: Grant | None


def admit(request: StorageRequest, account: Account, cloud: Cloud) -> Admitted:
    """Return the request, with a SAS that Azurite can evaluate where it has one. Raises Refusal."""
    if request.credentials not in _SAS:
        return Admitted(request, None)
    token = read(request)
    signer, allowed = _evaluated(token, request, account, cloud)
    return Admitted(_signed_for_azurite(token, request, account, allowed, signer), allowed)


def granted(request: StorageRequest, account: Account, cloud: Cloud) -> Grant:
    """Return what the SAS of the request allows. Raises Refusal."""
    return _evaluated(read(request), request, account, cloud)[1]


def _evaluated(token: Token, request: StorageRequest, account: Account, cloud: Cloud) -> tuple[str, Grant]:
    """Return the name of the account key to sign for Azurite with, and what the token allows. Raises Refusal."""
    expiration_policy.check(token, account, request.host.service)
    if token.kind is Kind.DELEGATION:
        signer, allowed = "key1", _delegated(token, request, account, cloud)
    else:
        signer, allowed = _signed_by_account_key(token, account)
    _check_address(token, request)
    if token.kind is Kind.ACCOUNT and SERVICE_LETTERS.get(token.service, "-") not in token.get("ss"):
        raise Refusal("AuthorizationServiceMismatch")
    return signer, allowed


def policy_key(service: str, resource: str) -> tuple[str, str]:
    """Return the key of a resource in `Account.policies`. Names of tables are case-insensitive."""
    return service, resource.lower() if service == "table" else resource


def _signed_by_account_key(token: Token, account: Account) -> tuple[str, Grant]:
    """Return the name of the key that signed the token, and what it allows under its policy. Raises Refusal."""
    signer = signing_key(token, account)
    if signer is None:
        raise Refusal("AuthenticationFailed", _DID_NOT_MATCH)
    policy = AccessPolicy()
    if token.kind is Kind.SERVICE and token.get("si"):
        identifiers = account.policies.get(policy_key(token.service, token.container), ())
        policy = policy_of(identifiers, token.get("si"))
    own = AccessPolicy(*(token.get(name) or None for name in ("st", "se", "sp")))
    allowed = grant(own, policy)
    check_time(allowed.start, allowed.expiry, now=now())
    _check_legacy(token, allowed)
    return signer, allowed


def _check_legacy(token: Token, allowed: Grant) -> None:
    """Refuse a token without a version that is valid for more than an hour and has no policy."""
    if token.version or token.get("si"):
        return
    start, expiry = moment(allowed.start) or now(), moment(allowed.expiry)
    if expiry is None or expiry - start > _LEGACY_LIFE:
        raise Refusal(
            "AuthenticationFailed", "Access without signed identifier cannot have time window more than 1 hour"
        )


def _delegated(token: Token, request: StorageRequest, account: Account, cloud: Cloud) -> Grant:
    """Return what a user delegation SAS allows. Raises Refusal.

    After the signature, the principal that the key was issued to must be allowed to do the operation ("Create a user
    delegation SAS", section "Authorize a user delegation SAS").
    """
    key = delegation_key(token, account)
    if key is None:
        raise Refusal("AuthenticationFailed", _DID_NOT_MATCH)
    if any(token.get(name) for name in _BOUND):  # which need more than the token, and are always refused here
        raise Refusal("AuthenticationFailed", "Signature fields not well formed.")
    check_time(key.start, key.expiry, now=now())
    allowed = Grant(token.get("st") or None, token.get("se"), token.get("sp"))
    check_time(allowed.start, allowed.expiry, now=now())
    identity = cloud.identity_of(key.object_id)
    if identity is None or not may_use_data(identity, request, account):
        raise Refusal("AuthorizationPermissionMismatch")
    return allowed


def _check_address(token: Token, request: StorageRequest) -> None:
    """Refuse a request from an address that the token does not allow."""
    if token.version < _RESTRICTED_SINCE or not token.get("sip"):
        return
    allowed = address_range(token.get("sip"))
    if allowed is None or not allowed[0] <= ipaddress.IPv4Address(request.address) <= allowed[1]:
        raise Refusal("AuthorizationSourceIPMismatch")


def _signed_for_azurite(
    token: Token, request: StorageRequest, account: Account, allowed: Grant, signer: str
) -> StorageRequest:
    """Return the request with an ad hoc SAS that allows the same, signed with the key `signer`. Raises Refusal."""
    permissions = allowed.permission
    if token.kind is Kind.ACCOUNT:
        permissions = "".join(letter for letter in permissions if letter in _AZURITE_ACCOUNT_PERMISSIONS)
        if not permissions:
            raise Refusal("AuthorizationPermissionMismatch")
    fields = {name: token.get(name) for name in _AZURITE_FIELDS if token.get(name)}
    fields |= {"sv": _AZURITE_VERSION, "sp": permissions, "se": an_hour_from(now())}
    if token.get("sr") and token.kind is not Kind.ACCOUNT:
        fields["sr"] = _AZURITE_RESOURCE.get(token.get("sr"), token.get("sr"))
    own = replace(
        token,
        kind=Kind.ACCOUNT if token.kind is Kind.ACCOUNT else Kind.SERVICE,
        version=_AZURITE_VERSION,
        fields=fields,
        resource=token.container if token.get("sr") == "d" else token.resource,
        snapshot=decoded(request.query).get("snapshot", ""),  # which Azurite takes for signed in every token
    )
    signature = sign(string_to_sign(own, account.name), account.accepted_keys[signer])
    kept = [pair for pair in request.query.split("&") if unquote_plus(pair.partition("=")[0]) not in FIELDS | {"sig"}]
    return replace(request, query=_query(kept, fields | {"sig": signature}))


def _query(kept: list[str], fields: Mapping[str, str]) -> str:
    return "&".join([*kept, *(f"{name}={quote(value, safe='')}" for name, value in fields.items())])
