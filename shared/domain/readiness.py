"""Checks whether a revocation on an account would succeed, from Azure's locks, permissions and settings. Pure.

What blocks a revocation is distinguished from what only prevents its verification or the record of usage.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.domain.account import KEPT_OUT
from shared.domain.text import Foreign
from shared.domain.usage import covers_reads
from shared.sas import Service

_STORAGE = "Microsoft.Storage/storageAccounts"
NEEDED_TO_DECIDE = (
    f"{_STORAGE}/listkeys/action",
    f"{_STORAGE}/tableServices/tables/read",
    f"{_STORAGE}/fileServices/shares/read",
)
"""The permissions to find out what a leak is, and what would revoke it. Mode `observe` has no others."""

NEEDED_TO_ACT = (
    f"{_STORAGE}/regeneratekey/action",
    f"{_STORAGE}/revokeUserDelegationKeys/action",
    f"{_STORAGE}/tableServices/tables/write",
    f"{_STORAGE}/fileServices/shares/write",
)
"""The permissions for every action on an account but the lockdown (infra/roles.json)."""

EVERYONE = "00000000-0000-0000-0000-000000000000"  # "Understand Azure deny assignments": all principals


class Check(StrEnum):
    """The kind of check."""

    LOCK = "lock"
    DENIAL = "denial"
    RIGHT = "right"
    REACH = "reach"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One problem. `said` is one or two English sentences: what it is, and what to do.

    `blocking`: a revocation would fail. Otherwise it would succeed, but less would be known about it.
    """

    check: Check
    blocking: bool
    said: str


@dataclass(frozen=True, slots=True)
class Lock:
    """A management lock. `scope` is the id of the locked resource; `level` is "ReadOnly" or "CanNotDelete"."""

    scope: str
    level: str
    name: str


@dataclass(frozen=True, slots=True)
class Actions:
    """Actions as roles and denials have them, "*" standing for anything."""

    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()

    def cover(self, action: str) -> bool:
        """Whether `action` is among them."""
        return _any(self.actions, action) and not _any(self.not_actions, action)


@dataclass(frozen=True, slots=True)
class Denial:
    """A deny assignment. `principals` and `excluded` are object ids."""

    name: str
    scope: str
    denied: tuple[Actions, ...]
    principals: frozenset[str]
    excluded: frozenset[str]
    spares_children: bool = False


def of_locks(account_id: str, locks: Iterable[Lock]) -> list[Trouble]:
    """Return the locks that forbid to list and to regenerate keys ("Lock your resources": ReadOnly forbids both)."""
    return [
        Trouble(
            Check.LOCK,
            True,
            f"The ReadOnly lock '{Foreign(lock.name)}' on {Foreign(lock.scope)} forbids it. Remove the lock "
            "(az lock delete).",
        )
        for lock in locks
        if lock.level == "ReadOnly" and _is_in(account_id, lock.scope)
    ]


def needed(*, acts: bool) -> tuple[str, ...]:
    """Return the required permissions on an account; `acts` is whether Sasquash may change anything."""
    return NEEDED_TO_DECIDE + NEEDED_TO_ACT if acts else NEEDED_TO_DECIDE


def of_denials(
    account_id: str, denials: Iterable[Denial], *, principal: str, required: Iterable[str]
) -> list[Trouble]:
    """Return the deny assignments that keep `principal` (an object id) from a required permission."""
    required = tuple(required)
    found: list[Trouble] = []
    for denial in denials:
        concerns_us = not denial.principals.isdisjoint({EVERYONE, principal}) and principal not in denial.excluded
        is_here = _is_in(account_id, denial.scope) and not (
            denial.spares_children and denial.scope.lower() != account_id.lower()
        )
        denied = [action for action in required if any(each.cover(action) for each in denial.denied)]
        if concerns_us and is_here and denied:
            what = ", ".join(denied)
            said = (
                f"The deny assignment '{Foreign(denial.name)}' forbids {what}. Have its owner exclude the identity."
            )
            found.append(Trouble(Check.DENIAL, True, said))
    return found


def of_rights(granted: Iterable[Actions], *, required: Iterable[str]) -> list[Trouble]:
    """Return which required permissions the identity lacks; `granted` are all that it has on the account."""
    roles = tuple(granted)
    missing = [action for action in required if not any(role.cover(action) for role in roles)]
    if not missing:
        return []
    said = f"The identity lacks {', '.join(missing)}. Grant it the roles of infra/roles.json on the account."
    return [Trouble(Check.RIGHT, True, said)]


def of_answers(answers: Mapping[Service, str | None]) -> list[Trouble]:
    """Return the services that a verification can't reach. An answer is an error code; None: there was none."""
    closed = sorted(service.value for service, code in answers.items() if code is None or code in KEPT_OUT)
    if not closed:
        return []
    said = (
        f"The app cannot reach its {_listed(closed)} service: a revocation there is verified by ARM only. Allow the "
        "app's network, or accept this."
    )
    return [Trouble(Check.REACH, False, said)]


def of_logs(logged: Mapping[Service, Iterable[str]]) -> list[Trouble]:
    """Return the services whose usage is not logged. `logged`: categories that go to a workspace."""
    silent = sorted(service.value for service, categories in logged.items() if not covers_reads(categories))
    if not silent:
        return []
    said = (
        f"Requests to its {_listed(silent)} service are not logged: the usage of a leak would be unknown. "
        "Turn logging on with az monitor diagnostic-settings create (docs/operations.md)."
    )
    return [Trouble(Check.LOG, False, said)]


def _is_in(account_id: str, scope: str) -> bool:
    """Whether a scope is the account, its resource group or its subscription."""
    return f"{account_id.lower()}/".startswith(f"{scope.lower().rstrip('/')}/")


def _any(patterns: Iterable[str], action: str) -> bool:
    return any(
        re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), action, re.IGNORECASE)
        for pattern in patterns
    )


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
