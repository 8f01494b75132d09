"""Puts the candidates of a token together: each reading of its values, at each place that may be its own."""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from .classify import kind_of, moment
from .connections import Connection
from .credential import Credential, InvalidCredential
from .fingerprint import signature_sha256
from .hosts import with_service
from .kinds import SNAPSHOT_TIME, TOKEN_PARAMETERS, Kind, Service
from .leak import MOST_OTHERS, Sighting, leaked_token
from .places import Mention, Places
from .queries import Query, find_queries, host_before, read, scattered
from .values import Token, paths, readings

# The host of a URL whose account is a variable, which some other part of the text may hold.
_HOST_OF_VARIABLE = re.compile(
    r"\.(?:blob|queue|table|file|dfs)\.(?:core\.[a-z.-]{2,40}|storage\.azure\.net)/(?P<path>[^?\"']*)\?\Z"
)
_OF_ONE_LENGTH = {"sig", "sv", "st", "se", "skt", "ske", "skv"}
_GOES_ON = re.compile(r"[^\S\n]*\r?\n\s*[\"'&?+]|[^\S\n]*\\")


def find_tokens(view: str, connections: Sequence[Connection], places: Places) -> Iterator[Sighting]:
    """Yield the tokens in `view` and where they are."""
    rest = []
    done = 0
    for connection in connections:
        tokens = readings(read(connection.token, quoted=False))
        if not tokens:
            continue
        if not connection.foreign:
            mention = None if connection.host else places.of_token(connection.start)
            host, path = (mention.host, mention.path) if mention else (connection.host, connection.path)
            found = [_beside(token, host, path) for token in tokens]
            whole = connection.host is not None and _is_complete(found[0], own=False)
            yield from _at(connection.token_at, found, tokens[0].signature, whole=whole)
        rest += [view[done : connection.token_at], " "]
        done = connection.token_at + len(connection.token)
    view = "".join([*rest, view[done:]])
    seen = set()
    for query in find_queries(view):
        sighting = _sighted(view, query, places)
        if sighting is not None:
            seen.add(sighting.leak.credential.signature_sha256)
            yield sighting
    if len(seen) >= view.count("sig"):
        return
    for query in scattered(view):
        sighting = _sighted(view, query, places)
        if sighting is not None and sighting.leak.credential.signature_sha256 not in seen:
            yield sighting


def _sighted(view: str, query: Query, places: Places) -> Sighting | None:
    tokens = readings(query.raw)
    if not tokens:
        return None
    if query.host is not None:
        found = [reading for token in tokens for reading in _on_url(token, query.host, query.path)]
    else:
        found = list(_elsewhere(query, tokens, places))
    whole = not query.spaced and not _may_go_on(view, query) and _is_complete(found[0], own=query.host is not None)
    return next(_at(query.at, found, tokens[0].signature, whole=whole), None)


def _at(
    position: int, readings_: Iterable[Credential | None], signature: str, *, whole: bool = False
) -> Iterator[Sighting]:
    """Yield the first of the readings, which are all of one secret, with the others beside it."""
    first, *others = readings_
    if first is not None:
        distinct = tuple(dict.fromkeys(each for each in others if each is not None and each != first))
        yield Sighting(position, replace(leaked_token(first, signature), others=distinct[:MOST_OTHERS]), whole)


def _on_url(token: Token, host: str, path: str) -> Iterator[Credential | None]:
    """Read a token at its own URL."""
    for read_path in paths(path, layers=token.layers):
        yield _credential(token, host=host, path=read_path)


def _elsewhere(query: Query, tokens: Sequence[Token], places: Places) -> Iterator[Credential | None]:
    """Read a token without a URL, or one whose URL lacks its scheme or its account: at the places around it."""
    near = places.of_token(query.at)
    fixed: str | None = None
    if query.before.endswith("?"):
        hosted = host_before(query.before)
        if hosted is not None:
            for token in tokens:
                yield from _on_url(token, *hosted)
            return
        if query.before.startswith("/"):  # as in the first line of a request, whose host is in another line
            fixed = query.before[1:-1]
        variable = _HOST_OF_VARIABLE.search(query.before)
        if variable is not None:
            fixed = variable["path"]
    for token in tokens:
        known = list(paths(fixed, layers=token.layers)) if fixed else []
        for path in known or [near.path if near else None]:
            yield _beside(token, near.host if near else None, path, keep=bool(known))
        yield from _candidates(token, places, query.at, near=near, fixed=known)


def _candidates(
    token: Token, places: Places, at: int, *, near: Mention | None, fixed: Sequence[str | None]
) -> Iterator[Credential | None]:
    """Read a token at every place that the text mentions around it, nearest first."""
    alone = _credential(token, host=None, path=None)
    if alone is None:
        return
    service = alone.service
    mentions = [each for each in places.near(at) if each.host and (near is None or each.account == near.account)]
    hosts = list(dict.fromkeys(_own_host(each.host, service) for each in mentions if each.host))
    if near is not None and near.host is not None:
        hosts = [_own_host(near.host, service)]
    for mention in mentions:
        if mention.host and mention.path and not fixed and _own_host(mention.host, service) == mention.host:
            yield _credential(token, host=mention.host, path=mention.path)
    parts: list[str | None] = list(fixed) or [part.path for part in places.parts_near(at)]
    for part in [None, *parts] if near is None else parts:
        for host in hosts[:4]:
            yield _credential(token, host=host, path=part)


def _own_host(host: str, service: Service | None) -> str:
    return host if service in (None, Service.MULTIPLE) else with_service(host, service)


def _beside(token: Token, host: str | None, path: str | None, *, keep: bool = False) -> Credential | None:
    """Give a token the address that stands beside it, if any, with the host of its own service.

    The path of another service's address is none of its own; `keep` says that the path does not come from there.
    """
    alone = _credential(token, host=None, path=None)
    if alone is None or host is None:
        return alone
    own = _own_host(host, alone.service)
    return _credential(token, host=own, path=path if keep or own == host else None)


def _may_go_on(view: str, query: Query) -> bool:
    """Whether a query may go on in the next line, or its last value may."""
    if _GOES_ON.match(view, query.ends):
        return True
    return view[query.ends : query.ends + 1] in ("\n", "\r") and next(reversed(query.raw)) not in _OF_ONE_LENGTH


def _is_complete(credential: Credential | None, *, own: bool) -> bool:
    """Whether a token says all of itself: a reading of the text with joined lines could add nothing.

    `own` says that its address is its own. Of one that stands beside it, the path may be cut.
    """
    if credential is None or credential.account is None:
        return False
    dates = [moment(value) for name in ("st", "se") if (value := credential.parameter(name)) is not None]
    if None in dates or not (dates or credential.policy):
        return False
    if credential.kind is Kind.ACCOUNT_SAS:
        return True
    return credential.container is not None and (own or credential.resource_path is None)


def _credential(token: Token, *, host: str | None, path: str | None) -> Credential | None:
    """Return the reading; None when no storage service would accept it."""
    return sas_of(token.parameters, host=host, path=path, digest=signature_sha256(token.signature))


def sas_of(decoded: Mapping[str, str], *, host: str | None, path: str | None, digest: str) -> Credential | None:
    """Return the SAS with these decoded parameters, at this place; None when no storage service would accept it.

    `digest` is the SHA-256 of its signature.
    """
    snapshot = SNAPSHOT_TIME.get(decoded.get("sr", ""))
    parameters = {name: value for name, value in decoded.items() if name in TOKEN_PARAMETERS or name == snapshot}
    kind = kind_of(parameters, host=host)
    if kind is None:
        return None
    with contextlib.suppress(InvalidCredential):
        return Credential(
            kind=kind,
            host=host,
            path=path or None,
            parameters=tuple(sorted(parameters.items())),
            signature_sha256=digest,
            key_sha256=None,
        )
    return None
