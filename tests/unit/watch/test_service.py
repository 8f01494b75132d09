"""The list of SAS in use: what signed each token, pages, bounds, and what can't be read."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

import pytest
from azure.storage.blob import generate_blob_sas

from shared.domain.account import AccountKey
from shared.domain.logged_sas import LoggedSas
from shared.errors import Blocked, InvalidRequest, TransientFailure
from shared.sas import Credential
from shared.watch import service, signers
from shared.watch.answer import SasPage
from shared.watch.service import SasInUseList
from shared.watch.signers import SignedBy, SignerSearch
from tests.support.logged_tokens import END, KEYS, MemoryLogs, account_token, container_token, logged
from tests.support.samples import ACCOUNT, NOW


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


def made(logs: MemoryLogs, clock: Clock | None = None) -> SasInUseList:
    ticks = clock or Clock()
    return SasInUseList(source=logs, search=SignerSearch(clock=ticks), clock=ticks)


async def listed(*tokens: LoggedSas, **asked: int) -> SasPage:
    return await made(MemoryLogs(list(tokens))).page(after=None, **asked)


async def test_token_that_nobody_reported_is_listed_with_the_key_that_signed_it() -> None:
    page = await listed(logged(account_token()))

    [token] = page.tokens
    assert (token.signed_by, token.severity, token.revocation) == (SignedBy.KEY1, "critical", None)
    assert END in token.grants
    assert token.expires is not None
    assert token.expires.year == 2051
    assert (token.requests, token.clients, token.operations) == (10, ("203.0.113.7",), ("GetBlob",))
    assert page.next is None


async def test_each_token_is_verified_under_both_keys() -> None:
    page = await listed(logged(container_token(signed_by="key2")), logged(account_token(signed_by="key1")))

    assert {token.kind.value: token.signed_by for token in page.tokens} == {
        "service_sas": SignedBy.KEY2,
        "account_sas": SignedBy.KEY1,
    }


async def test_what_the_logs_call_the_key_is_not_believed() -> None:
    [token] = (await listed(logged(container_token(signed_by="key2"), key_name="key1"))).tokens

    assert token.signed_by is SignedBy.KEY2


async def test_token_that_no_current_key_signed_is_unknown() -> None:
    forged = logged(account_token())
    altered = logged(account_token(), urls=tuple(url.replace("sp=rwdl", "sp=rl") for url in forged.urls))

    [token] = (await listed(altered)).tokens

    assert token.signed_by is SignedBy.UNKNOWN


async def test_second_url_verifies_what_the_first_one_lacks() -> None:
    right = logged(container_token())
    wrong = tuple(url.replace("/models/", "/other/") for url in right.urls)

    [token] = (await listed(logged(container_token(), urls=(*wrong, *right.urls)))).tokens

    assert (token.signed_by, token.resource) == (SignedBy.KEY2, "models")


async def test_token_of_another_account_is_unknown_there() -> None:
    token = account_token()
    tried = logged(token, account="victim", accepted=0)

    page = await listed(logged(token), tried)

    assert [(each.account, each.signed_by) for each in page.tokens] == [
        (ACCOUNT, SignedBy.KEY1),
        ("victim", SignedBy.UNKNOWN),
    ]


async def test_user_delegation_sas_is_listed_without_listing_keys() -> None:
    url = (
        f"https://{ACCOUNT}.blob.core.windows.net:443/models/a?sv=2020-12-06&sr=c&sp=r&se=2051-10-06&skoid=1&sktid=2"
        "&skt=2023-01-01&ske=2023-01-02&sks=b&skv=2020-12-06&sig=XXXXX"
    )
    logs = MemoryLogs([logged(account_token(), urls=(url,))])

    [token] = (await made(logs).page(after=None)).tokens

    assert (token.signed_by, token.kind) == (SignedBy.USER_DELEGATION, "user_delegation_sas")
    assert logs.listed == []


async def test_version_that_cannot_be_recomputed_is_undecided() -> None:
    newer = tuple(url.replace("sv=", "sv=9").replace("sv=92026", "sv=9026") for url in logged(account_token()).urls)

    [token] = (await listed(logged(account_token(), urls=newer))).tokens

    assert token.signed_by is SignedBy.UNDECIDED


async def test_account_whose_keys_cannot_be_read_is_named_and_stops_no_other() -> None:
    logs = MemoryLogs([logged(account_token("locked1"), account="locked1"), logged(account_token())])
    logs.fails["locked1"] = Blocked("A right is missing.")

    page = await made(logs).page(after=None)

    assert {token.account: token.signed_by for token in page.tokens} == {
        "locked1": SignedBy.UNCHECKED,
        ACCOUNT: SignedBy.KEY1,
    }
    assert [(each.name, each.said) for each in page.unread] == [("locked1", "A right is missing.")]


async def test_keys_that_do_not_arrive_in_time_leave_the_tokens_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signers, "_SECONDS", 0.01)
    logs = MemoryLogs([logged(account_token())], hangs=True)

    page = await made(logs).page(after=None)

    assert [token.signed_by for token in page.tokens] == [SignedBy.UNCHECKED]
    assert [each.name for each in page.unread] == [ACCOUNT]


async def test_keys_are_listed_once_an_account_and_a_few_accounts_at_a_time() -> None:
    names = [f"account{number}" for number in range(12)]
    tokens = [logged(account_token(name, signed_by=key), account=name) for name in names for key in KEYS]
    logs = MemoryLogs(tokens)

    page = await made(logs).page(after=None)

    assert {token.signed_by for token in page.tokens} == {SignedBy.KEY1, SignedBy.KEY2}
    assert sorted(logs.listed) == sorted(names)
    assert logs.most_at_once == 4


async def test_repeated_request_lists_no_keys_for_minutes() -> None:
    clock = Clock()
    logs = MemoryLogs(
        [logged(account_token()), logged(account_token(signed_by="key2"), urls=logged(account_token()).urls)]
    )
    several = made(logs, clock)
    first = await several.page(after=None)

    again = await several.page(after=None)
    assert again.tokens == first.tokens
    assert logs.listed == [ACCOUNT]

    clock.now += timedelta(minutes=6)
    await several.page(after=None)
    assert logs.listed == [ACCOUNT, ACCOUNT]


async def test_failure_is_not_kept() -> None:
    logs = MemoryLogs([logged(account_token())], fails={ACCOUNT: TransientFailure("Try again.")})
    several = made(logs)
    assert (await several.page(after=None)).tokens[0].signed_by is SignedBy.UNCHECKED

    logs.fails.clear()

    assert (await several.page(after=None)).tokens[0].signed_by is SignedBy.KEY1


async def test_page_has_tokens_of_at_most_twenty_accounts_and_the_next_ones_go_on() -> None:
    names = [f"account{number:02}" for number in range(45)]
    logs = MemoryLogs([logged(account_token(name), account=name) for name in names])
    several, seen, after, pages = made(logs), list[str](), None, 0

    while after is not None or pages == 0:
        before = len(logs.listed)
        page = await several.page(limit=100, after=after)
        assert len(logs.listed) - before <= 20
        seen += [token.account for token in page.tokens]
        after, pages = page.next, pages + 1

    assert (seen, pages) == (names, 3)


async def test_pages_have_each_token_once() -> None:
    tokens = [logged(container_token(days=number / 10)) for number in range(1, 8)]
    several, seen, after = made(MemoryLogs(tokens)), list[str](), None

    for _ in range(4):
        page = await several.page(limit=2, after=after)
        seen += [token.id for token in page.tokens]
        after = page.next

    assert after is None
    assert sorted(seen) == sorted(f"{ACCOUNT}.{token.signature_sha256}" for token in tokens)


async def test_token_that_left_the_list_is_no_place_in_it() -> None:
    with pytest.raises(InvalidRequest, match="`after` is not in the list"):
        await made(MemoryLogs([logged(account_token())])).page(after=f"{ACCOUNT}.{'ab' * 32}")


async def test_what_cannot_be_seen_is_said() -> None:
    logs = MemoryLogs([logged(account_token(), urls=("https://x",))], unread={"subscription x": "Its logs failed."})

    page = await made(logs).page(after=None, days=7)

    assert (page.tokens, page.unidentified_requests) == ((), 14)
    assert page.unread[0].name == "subscription x"
    assert "not used in the last 7 days is not listed" in page.limits[0]
    assert not any("more tokens than" in limit for limit in page.limits)
    assert any("more tokens than" in limit for limit in service.limits(7, is_cut=True))


async def test_reported_token_names_its_record() -> None:
    async def record_of(credential: Credential) -> str | None:
        return "cd" * 32 if credential.kind == "account_sas" else None

    clock = Clock()
    logs = MemoryLogs([logged(account_token()), logged(container_token())])
    several = SasInUseList(source=logs, search=SignerSearch(clock=clock), clock=clock, record_of=record_of)

    assert [token.revocation for token in (await several.page(after=None)).tokens] == ["cd" * 32, None]


async def test_no_key_and_no_signature_is_shown_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bad = {name: AccountKey(f"{value}!", None) for name, value in KEYS.items()}
    logs = MemoryLogs([logged(account_token())])

    async def keys(_account: str) -> Mapping[str, AccountKey]:
        return bad

    logs.keys = keys  # type: ignore[method-assign]
    page = await made(logs).page(after=None)

    assert [token.signed_by for token in page.tokens] == [SignedBy.UNKNOWN]
    said = repr(page) + caplog.text
    assert not any(value in said for value in KEYS.values())
    assert "sig=" not in said


async def test_secret_in_the_name_of_a_blob_or_a_policy_is_redacted() -> None:
    """A client may have put a whole URL into a path: the logs mask the request's own signature alone."""
    secret = "sig=" + "Ab3/" * 10 + "Ab3="
    path = quote(f"models/https://x/?{secret}", safe="")
    token = container_token(policy_id=secret, permission=None, expiry=None)
    blob = generate_blob_sas(
        ACCOUNT, "models", f"https://x/?{secret}", account_key=KEYS["key1"], permission="r", expiry=NOW
    )

    page = await listed(logged(token), logged(blob, path=path.replace("models%2F", "models/")))

    assert {each.signed_by for each in page.tokens} == {SignedBy.KEY1, SignedBy.KEY2}
    assert "Ab3/Ab3" not in repr(page)
    assert "Ab3%2FAb3" not in repr(page)
