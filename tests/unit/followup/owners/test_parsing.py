"""Owners from tags: hostile input, checked before anyone is mailed."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.person import Person
from shared.domain.revocation import Owner
from shared.errors import Blocked, SasquashError, TransientFailure
from shared.followup.owners.parsing import Owners, from_tags, resolve

_NAMES = ("sasquash-owner", "owner")
_DOMAINS = frozenset({"contoso.com"})
_HOMOGLYPH = "ada@\u0441\u043entoso.com"  # Cyrillic es and o
_FOUND_BY = "tag owner on the account"


def _addresses(owners: Owners) -> list[str]:
    return [owner.address for owner in owners.people]


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        ("ada@contoso.com", ["ada@contoso.com"]),
        ("ada@contoso.com;bo@contoso.com, cy@contoso.com ;", [f"{a}@contoso.com" for a in ("ada", "bo", "cy")]),
        ("ada@CONTOSO.com", ["ada@CONTOSO.com"]),
        ("ada.b+sas_1-x@contoso.com", ["ada.b+sas_1-x@contoso.com"]),
        ("o'brien@contoso.com", ["o'brien@contoso.com"]),
        ("ada@contoso.com;ADA@contoso.com", ["ada@contoso.com"]),
        ("", []),
        (" ; , ", []),
    ],
)
def test_addresses_are_read_from_a_tag(value: str, addresses: list[str]) -> None:
    owners = from_tags({"owner": value}, tag_names=_NAMES, domains=_DOMAINS)
    assert (_addresses(owners), owners.rejected) == (addresses, ())


@pytest.mark.parametrize(
    "value",
    [
        "ada@evil.example",
        "ada@sub.contoso.com",
        "ada@contoso.com.evil.example",
        "ada@evilcontoso.com",
        "ada@contoso.com.",
        _HOMOGLYPH,
        "ada@xn--ntoso-bye8j.com",
        "ada@\u212aontoso.com",
        "ada@contoso.com@evil.example",
        "ada",
        "@contoso.com",
        ".ada@contoso.com",
        "ada.@contoso.com",
        "a..b@contoso.com",
        '"ada lovelace"@contoso.com',
        "Ada <ada@contoso.com>",
        "mailto:ada@contoso.com",
        "ada@contoso.com\nBcc: eve@contoso.com",
        "ada@contoso.com\r\n",
        "ada%contoso.com@contoso.com",
        "ada@[127.0.0.1]",
        "a" * 65 + "@contoso.com",
        "/@contoso.com",
        "ada\x00@contoso.com",
    ],
)
def test_anything_but_a_plain_address_in_an_allowed_domain_is_rejected(value: str) -> None:
    owners = from_tags({"owner": value}, tag_names=_NAMES, domains=_DOMAINS)
    assert owners.people == ()
    assert len(owners.rejected) == 1


def test_a_subdomain_counts_where_it_is_allowed_itself() -> None:
    owners = from_tags({"owner": "ada@eu.contoso.com"}, tag_names=_NAMES, domains={"eu.contoso.com"})
    assert _addresses(owners) == ["ada@eu.contoso.com"]


def test_tag_names_are_compared_without_case() -> None:
    owners = from_tags({"OWNER": "ada@contoso.com"}, tag_names=("Owner",), domains=_DOMAINS)
    assert _addresses(owners) == ["ada@contoso.com"]


def test_other_tags_do_not_count() -> None:
    assert from_tags({"contact": "ada@contoso.com"}, tag_names=_NAMES, domains=_DOMAINS) == Owners((), ())


def test_the_preferred_tag_comes_first_and_says_how_each_was_found() -> None:
    tags = {"owner": "ada@contoso.com", "sasquash-owner": "bo@contoso.com"}
    assert from_tags(tags, tag_names=_NAMES, domains=_DOMAINS).people == (
        Owner("bo@contoso.com", None, "tag sasquash-owner on the account"),
        Owner("ada@contoso.com", None, "tag owner on the account"),
    )


def test_at_most_five_owners_are_notified() -> None:
    value = ";".join(f"user{number}@contoso.com" for number in range(7))
    owners = from_tags({"owner": value}, tag_names=_NAMES, domains=_DOMAINS)
    assert len(owners.people) == 5
    assert owners.rejected == ("2 more: at most 5 owners are notified",)


def test_a_rejection_names_tag_and_domain() -> None:
    owners = from_tags({"owner": "ada@evil.example"}, tag_names=_NAMES, domains=_DOMAINS)
    assert owners.rejected == ('tag "owner" on the account: evil[.]example is not an allowed domain',)


def test_homoglyph_is_quoted_so_that_it_differs_from_the_real_address() -> None:
    owners = from_tags({"owner": _HOMOGLYPH}, tag_names=_NAMES, domains=_DOMAINS)
    assert "contoso" not in owners.rejected[0]
    assert owners.rejected[0].isascii()


def test_many_rejections_are_counted_and_not_listed() -> None:
    owners = from_tags({"owner": ";".join(["x"] * 128)}, tag_names=_NAMES, domains=_DOMAINS)
    assert len(owners.rejected) == 10
    assert owners.rejected[-1] == "119 more"


@given(st.text(max_size=300))
def test_no_tag_value_gets_anything_dangerous_through(value: str) -> None:
    owners = from_tags({"owner": value}, tag_names=_NAMES, domains=_DOMAINS)
    assert all(address.isascii() and address.isprintable() for address in _addresses(owners))
    assert all(address.lower().endswith("@contoso.com") for address in _addresses(owners))
    assert all(reason.isprintable() and len(reason) <= 160 for reason in owners.rejected)


@dataclass
class _Directory:
    people: dict[str, Person] = field(default_factory=dict)
    failure: SasquashError | None = None

    async def user(self, address: str) -> Person | None:
        if self.failure:
            raise self.failure
        return self.people.get(address)


_ADA = Owners((Owner("ada@contoso.com", None, _FOUND_BY),), ())


async def test_the_directory_gives_name_and_mailbox() -> None:
    directory = _Directory({"ada@contoso.com": Person("Ada Lovelace", "ada.lovelace@contoso.com")})
    owners = await resolve(_ADA, directory, domains=_DOMAINS)
    assert owners == Owners((Owner("ada.lovelace@contoso.com", "Ada Lovelace", _FOUND_BY),), ())


async def test_an_address_that_is_no_user_stays() -> None:
    assert await resolve(_ADA, _Directory(), domains=_DOMAINS) == _ADA


async def test_a_user_without_mailbox_keeps_the_address_of_the_tag() -> None:
    directory = _Directory({"ada@contoso.com": Person("Ada", None)})
    assert _addresses(await resolve(_ADA, directory, domains=_DOMAINS)) == ["ada@contoso.com"]


@pytest.mark.parametrize("failure", [TransientFailure("503"), Blocked("403")])
async def test_a_directory_that_cannot_answer_delays_nobody(failure: SasquashError) -> None:
    assert await resolve(_ADA, _Directory(failure=failure), domains=_DOMAINS) == _ADA


async def test_a_mailbox_in_a_foreign_domain_is_rejected() -> None:
    directory = _Directory({"ada@contoso.com": Person("Ada", "ada@evil.example")})
    owners = await resolve(_ADA, directory, domains=_DOMAINS)
    assert owners.people == ()
    assert owners.rejected == (
        f"{_FOUND_BY}: the directory's mailbox of ada@contoso.com is rejected: "
        "evil[.]example is not an allowed domain",
    )


async def test_earlier_rejections_are_kept() -> None:
    owners = await resolve(Owners((), ("tag …",)), _Directory(), domains=_DOMAINS)
    assert owners.rejected == ("tag …",)


async def test_two_addresses_of_one_mailbox_count_once() -> None:
    person = Person("Ada", "ada@contoso.com")
    two = Owners((*_ADA.people, Owner("al@contoso.com", None, _FOUND_BY)), ())
    directory = _Directory({"ada@contoso.com": person, "al@contoso.com": person})
    assert _addresses(await resolve(two, directory, domains=_DOMAINS)) == ["ada@contoso.com"]


async def test_a_display_name_loses_its_control_characters() -> None:
    directory = _Directory({"ada@contoso.com": Person("Ada\r\nBcc: x", "ada@contoso.com")})
    assert (await resolve(_ADA, directory, domains=_DOMAINS)).people[0].name == "Ada Bcc: x"
