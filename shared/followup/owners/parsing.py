"""Parses owners from tags and the directory. Tags are not trusted: an address counts only in an allowed domain."""

import asyncio
import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.person import Person
from shared.domain.revocation import Owner
from shared.domain.text import clean
from shared.errors import SasquashError

_log = logging.getLogger(__name__)

_MOST_PEOPLE = 5
_MOST_REJECTED = 10
_LONGEST_QUOTE = 80

# Stricter than RFC 5321's Mailbox on purpose: ASCII only (no homoglyphs), no quoted strings or literals.
_ADDRESS = re.compile(
    r"(?P<local>[A-Za-z0-9_](?:[A-Za-z0-9_+'-]|\.(?!\.)){0,63}(?<!\.))"
    r"@(?P<domain>(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9])"
)


@dataclass(frozen=True, slots=True)
class Owners:
    """`people` to tell, and in English why other addresses were `rejected`."""

    people: tuple[Owner, ...]
    rejected: tuple[str, ...]


class Directory(Protocol):
    async def user(self, address: str) -> Person | None:
        """Return the user with this address or object id; None if there is none (e.g. a group or a shared mailbox).

        Raises SasquashError.
        """

    async def members(self, group: str, *, most: int) -> tuple[Person, ...] | None:
        """Return the users in a group and in the groups in it; None if they are more than `most`.

        Raises SasquashError.
        """

    async def owners_of_app(self, app: str, *, most: int) -> tuple[Person, ...]:
        """Return the users that own a service principal. Raises SasquashError."""


def from_tags(
    tags: Mapping[str, str], *, tag_names: Sequence[str], domains: Collection[str], on: str = "the account"
) -> Owners:
    """Return the owners that the `tags` on the account name, or on its parent, which `on` names.

    `tag_names` are the tags that count, best first; case does not matter, as in ARM. A value holds addresses,
    separated by ";" or ",". `domains` are lower case; a subdomain of one is another domain.
    """
    values = {name.lower(): value for name, value in tags.items()}
    people: list[Owner] = []
    rejected: list[str] = []
    for tag_name in dict.fromkeys(name.lower() for name in tag_names):
        for part in re.split("[;,]", values.get(tag_name, "")):
            text = part.strip(" \t")
            if not text:
                continue
            fault = _fault(text, domains)
            if fault is None:
                people.append(Owner(text, None, f"tag {tag_name} on {on}"))
            else:
                rejected.append(f'tag "{tag_name}" on {on}: {fault}')
    return _bounded(people, rejected)


def of_people(people: Iterable[Person], *, found_by: str, domains: Collection[str]) -> Owners:
    """Return those of `people` that have a mailbox in an allowed domain, as owners."""
    owners: list[Owner] = []
    rejected: list[str] = []
    for person in people:
        fault = _fault(person.mail, domains) if person.mail else "no mailbox"
        if fault is None and person.mail:
            owners.append(Owner(person.mail, clean(person.name or "", limit=100) or None, found_by))
        else:
            rejected.append(f"{found_by}: {fault}")
    return _bounded(owners, rejected)


def together(*found: Owners) -> Owners:
    """Return all that was found, each mailbox once."""
    return _bounded(
        [owner for each in found for owner in each.people], [reason for each in found for reason in each.rejected]
    )


async def resolve(owners: Owners, directory: Directory, *, domains: Collection[str]) -> Owners:
    """Return `owners` with the names and mailboxes that the directory has for them.

    An address that the directory does not know stays: groups and shared mailboxes are not users. So does one
    that cannot be looked up now: a late mail is worse than one without a name.
    """
    answers = await asyncio.gather(*(_look_up(owner, directory) for owner in owners.people))
    people: list[Owner] = []
    rejected = list(owners.rejected)
    for owner, person in zip(owners.people, answers, strict=True):
        if person is None:
            people.append(owner)
            continue
        fault = _fault(person.mail, domains) if person.mail else None
        if fault is None:
            people.append(
                Owner(person.mail or owner.address, clean(person.name or "", limit=100) or None, owner.found_by)
            )
        else:
            rejected.append(f"{owner.found_by}: the directory's mailbox of {owner.address} is rejected: {fault}")
    return _bounded(people, rejected)


async def _look_up(owner: Owner, directory: Directory) -> Person | None:
    try:
        return await directory.user(owner.address)
    except SasquashError as error:
        _log.warning("The directory lookup of an owner failed; the tag's address is used: %s", error)
        return None


def _fault(text: str, domains: Collection[str]) -> str | None:
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return f"{_quoted(text)} is not a plain mail address"
    domain = match["domain"].lower()
    return None if domain in domains else f"{_quoted(domain)} is not an allowed domain"


def _quoted(text: str) -> str:
    # As ASCII escapes: a homoglyph would read as the real address. Dots in brackets: no link either.
    return clean(text.encode("ascii", "backslashreplace").decode().replace(".", "[.]"), limit=_LONGEST_QUOTE)


def _bounded(people: Sequence[Owner], rejected: Sequence[str]) -> Owners:
    """Each mailbox once, and at most a few: a tag must not make Sasquash mail a crowd."""
    distinct: dict[str, Owner] = {}
    for owner in people:
        distinct.setdefault(owner.address.lower(), owner)
    owners, left_out = tuple(distinct.values())[:_MOST_PEOPLE], len(distinct) - _MOST_PEOPLE
    reasons = (
        [*rejected, f"{left_out} more: at most {_MOST_PEOPLE} owners are notified"] if left_out > 0 else [*rejected]
    )
    if len(reasons) > _MOST_REJECTED:
        reasons = [*reasons[: _MOST_REJECTED - 1], f"{len(reasons) - _MOST_REJECTED + 1} more"]
    return Owners(owners, tuple(reasons))
