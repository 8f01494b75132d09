"""Refusals: a service answers 4xx for a while, as a missing right, a policy, a lock or a closed network has it."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from local.memory.errors import ServiceError
from local.memory.exchange import Answer, Request
from local.network import hostnames
from local.tenant.model import STATE_ACCOUNT, TOPIC_HOST

LONGEST = 5 * 3600.0  # seconds
_LONGEST_PART = 1800.0
_AFTER_LOSS = 0.2
_ARM, _GRAPH = f" https://{hostnames.ARM_HOST}/", f" https://{hostnames.GRAPH_HOST}/"
_OWN = tuple(f" https://{STATE_ACCOUNT}.{service}." for service in ("table", "queue", "blob"))


class Place(StrEnum):
    """Which calls are refused."""

    ARM = "ARM"
    LISTING = "ARM: the list of keys"
    ACTION = "ARM: changes"
    FINDING = "ARM: Resource Graph"
    DATA = "data plane"
    LISTS = "data plane: access control lists"
    TABLES = "our tables"
    QUEUES = "our queues"
    GRAPH = "Graph"
    MAIL = "Graph: mail"
    VAULT = "Key Vault"
    TOPIC = "Event Grid"

    def has(self, line: str) -> bool:
        """Whether a call "METHOD url" is one of these."""
        return _CALLS[self](line)


def _calls_to(*parts: str) -> Callable[[str], bool]:
    return lambda line: all(part in line for part in parts)


def _changes(line: str) -> bool:
    actions = ("/regenerateKey", "/revokeUserDelegationKeys", "PATCH ")
    return _ARM in line and any(action in line for action in actions)


def _monitored(line: str) -> bool:
    return ".core.windows.net/" in line and not any(own in line for own in _OWN)


_CALLS: dict[Place, Callable[[str], bool]] = {
    Place.ARM: _calls_to(_ARM),
    Place.LISTING: _calls_to("/listKeys"),
    Place.ACTION: _changes,
    Place.FINDING: _calls_to("Microsoft.ResourceGraph"),
    Place.DATA: _monitored,
    Place.LISTS: _calls_to("comp=acl"),
    Place.TABLES: _calls_to(_OWN[0]),
    Place.QUEUES: _calls_to(_OWN[1]),
    Place.GRAPH: _calls_to(_GRAPH),
    Place.MAIL: _calls_to(_GRAPH, "/sendMail"),
    Place.VAULT: _calls_to(hostnames.KEY_VAULT_SUFFIX),
    Place.TOPIC: _calls_to(TOPIC_HOST),
}
OWN_STORAGE = frozenset({Place.TABLES, Place.QUEUES})

_READS = ((401, "ExpiredAuthenticationToken"), (403, "AuthorizationFailed"), (409, "Conflict"), (412, "Failed"))
_WRITES = (
    (403, "AuthorizationFailed"),
    (403, "RequestDisallowedByPolicy"),
    (403, "DenyAssignmentAuthorizationFailed"),
    (409, "ScopeLocked"),
    (412, "PreconditionFailed"),
)
_OF_STORAGE = (
    (401, "InvalidAuthenticationInfo"),
    (403, "AuthorizationFailure"),
    (403, "AuthorizationPermissionMismatch"),
)
_ANSWERS = {
    Place.ARM: _READS,
    Place.LISTING: (*_READS, (404, "ResourceNotFound"), (409, "ScopeLocked")),
    Place.ACTION: _WRITES,
    Place.FINDING: _READS,
    Place.DATA: ((403, "AuthorizationFailure"), (403, "KeyBasedAuthenticationNotPermitted")),
    Place.LISTS: (*_OF_STORAGE, (404, "ContainerNotFound"), (409, "ContainerBeingDeleted"), (412, "ConditionNotMet")),
    Place.TABLES: (*_OF_STORAGE, (404, "TableNotFound"), (409, "TableBeingDeleted"), (412, "ConditionNotMet")),
    Place.QUEUES: (*_OF_STORAGE, (404, "QueueNotFound"), (409, "QueueBeingDeleted"), (412, "ConditionNotMet")),
    Place.GRAPH: (
        (401, "InvalidAuthenticationToken"),
        (403, "Authorization_RequestDenied"),
        (404, "itemNotFound"),
        (409, "nameAlreadyExists"),
        (412, "resourceModified"),
    ),
    Place.MAIL: ((403, "ErrorAccessDenied"), (404, "ErrorInvalidUser"), (401, "InvalidAuthenticationToken")),
    Place.VAULT: ((403, "Forbidden"), (401, "Unauthorized"), (409, "Conflict")),
    Place.TOPIC: ((401, "Unauthorized"), (403, "Forbidden"), (404, "NotFound"), (409, "Conflict"), (412, "Failed")),
}


@dataclass(frozen=True)
class Refusal:
    """From `start` to `end`, in seconds, a share of the calls to a place is refused with this answer.

    `after_loss`: it begins no sooner than ARM's answer to an action was lost.
    """

    place: Place
    status: int
    code: str
    start: float
    end: float
    share: float
    after_loss: bool = False

    def meets(self, line: str, *, at: float, lost_at: float, rng: random.Random) -> bool:
        """Whether it refuses this call. `lost_at` is when an answer to an action was lost, infinite before."""
        start = max(self.start, lost_at) if self.after_loss else self.start
        if not start <= at < self.end or not self.place.has(line):
            return False
        return self.share == 1.0 or rng.random() < self.share

    def answer(self, request: Request) -> Answer:
        """Return the answer, in the form of its service."""
        error = ServiceError(self.status, self.code, "Refused by the simulation.")
        if ".core.windows.net" in request.host:
            return error.answer(request.host.split(".")[1])
        body = b'{"error": {"code": "%s", "message": "Refused by the simulation."}}' % self.code.encode()
        return Answer(self.status, {"content-type": "application/json"}, body)


def drawn(rng: random.Random) -> Iterator[Refusal]:
    """Yield the refusals of a run: minutes to hours of them."""
    if rng.random() < _AFTER_LOSS:
        status, code = rng.choice(_ANSWERS[Place.LISTING])
        yield Refusal(Place.LISTING, status, code, 0.0, rng.uniform(600.0, 3600.0), 1.0, after_loss=True)
        return
    for place in rng.sample(tuple(Place), rng.choice((1, 1, 2, 3))):
        status, code = rng.choice(_ANSWERS[place])
        start = rng.choice((0.0, rng.uniform(0.0, 200.0)))
        lasts = rng.choice((rng.uniform(30.0, 300.0), rng.uniform(300.0, 3600.0), rng.uniform(3600.0, LONGEST)))
        share = rng.choice((1.0, 1.0, 1.0, 0.6))
        if place is Place.QUEUES and share < 1.0:  # messages that are sent and can't be removed: minutes of that do
            lasts = min(lasts, _LONGEST_PART)
        yield Refusal(place, status, code, start, start + lasts, share)
