"""Where logs and keys come from: all monitored subscriptions, or the accounts of one workspace."""

import asyncio
from typing import Any

import pytest

from shared.cloud.accounts import AccountRef
from shared.domain.account import AccountKey
from shared.domain.logged_sas import LoggedTokens
from shared.errors import Blocked, InvalidRequest, SasquashError, TransientFailure
from shared.watch import monitored
from shared.watch.monitored import MonitoredAccounts
from shared.watch.workspace import Workspace
from tests.support.logged_tokens import account_token, logged
from tests.support.samples import ACCOUNT, ACCOUNT_ID, SUBSCRIPTION

REF = AccountRef(ACCOUNT_ID, ACCOUNT, SUBSCRIPTION, "research", frozenset())
TOKEN = logged(account_token())


class Log:
    """Logs by subscription: tokens, an error, or no answer."""

    def __init__(self, answers: dict[str, LoggedTokens | SasquashError | None]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def of_subscription(self, subscription: str, *, days: int) -> LoggedTokens:
        self.asked.append(subscription)
        answer = self.answers[subscription]
        if isinstance(answer, SasquashError):
            raise answer
        if answer is None:
            await asyncio.Event().wait()
        assert isinstance(answer, LoggedTokens)
        return answer

    async def of_account(self, account_id: str, name: str, *, days: int) -> LoggedTokens:
        self.asked.append(account_id)
        return LoggedTokens((TOKEN,))

    async def of_workspace(self, workspace: str, *, days: int) -> LoggedTokens:
        self.asked.append(workspace)
        return LoggedTokens((TOKEN, logged(account_token("elsewhere"), account="elsewhere")), 3, is_cut=True)

    async def monitored(self) -> tuple[str, ...]:
        return tuple(self.answers)


class Accounts:
    """An inventory of one account, and another that only a search finds."""

    async def inventory(self) -> tuple[AccountRef, ...]:
        return (REF,)

    async def find(self, host: str, account: str | None) -> AccountRef | None:
        assert host == f"{account}.blob.core.windows.net"
        return REF if account == "justmade" else None


async def listed(ref: AccountRef) -> dict[str, AccountKey]:
    return {ref.name: AccountKey("", None)}


def made(**answers: LoggedTokens | SasquashError | None) -> tuple[MonitoredAccounts, Log]:
    log: Any = Log(answers)
    accounts: Any = Accounts()
    return (
        MonitoredAccounts(
            log=log,
            subscriptions=log,
            accounts=accounts,
            list_keys=listed,
            host_of=lambda name: f"{name}.blob.core.windows.net",
        ),
        log,
    )


async def test_each_subscription_is_queried_and_one_that_fails_is_named() -> None:
    several, log = made(one=LoggedTokens((TOKEN,)), two=Blocked("A right is missing."), three=LoggedTokens(()))

    found = await several.tokens(account=None, days=30)

    assert log.asked == ["one", "two", "three"]
    assert [each.tokens for each in found.tokens] == [(TOKEN,), ()]
    assert found.unread == {"subscription two": "A right is missing."}


async def test_failure_of_all_subscriptions_is_an_error() -> None:
    several, _ = made(one=TransientFailure("503."), two=Blocked("A right is missing."))

    with pytest.raises(SasquashError, match="503"):
        await several.tokens(account=None, days=30)


async def test_subscription_that_does_not_answer_in_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitored, "_SECONDS", 0.01)
    several, _ = made(one=LoggedTokens((TOKEN,)), two=None)

    found = await several.tokens(account=None, days=30)

    assert [each.tokens for each in found.tokens] == [(TOKEN,)]
    assert "not read in time" in found.unread["subscription two"]


@pytest.mark.parametrize("name", [ACCOUNT, "justmade"])
async def test_one_account_is_queried_alone(name: str) -> None:
    several, log = made(one=LoggedTokens(()))

    found = await several.tokens(account=name, days=30)

    assert log.asked == [ACCOUNT_ID]
    assert found.tokens[0].tokens == (TOKEN,)


async def test_account_that_is_not_monitored_is_refused_and_its_keys_are_not_listed() -> None:
    several, log = made(one=LoggedTokens(()))

    with pytest.raises(InvalidRequest, match="not an account in a monitored subscription"):
        await several.tokens(account="others", days=30)
    with pytest.raises(Blocked, match="its keys are not listed"):
        await several.keys("others")
    assert log.asked == []
    assert list(await several.keys(ACCOUNT)) == [ACCOUNT]


async def test_workspace_is_queried_once_for_all_pages() -> None:
    log: Any = Log({})
    workspace = Workspace(log, "w", client_for=lambda _subscription: None)  # type: ignore[arg-type, return-value]

    first = await workspace.tokens(account=None, days=30)
    second = await workspace.tokens(account=ACCOUNT, days=30)

    assert log.asked == ["w"]
    assert [token.account for token in first.tokens[0].tokens] == [ACCOUNT, "elsewhere"]
    assert (second.tokens[0].tokens, second.tokens[0].unidentified, second.tokens[0].is_cut) == ((TOKEN,), 3, True)


async def test_keys_of_an_account_without_a_resource_id_are_not_listed() -> None:
    log: Any = Log({})
    workspace = Workspace(log, "w", client_for=lambda _subscription: None)  # type: ignore[arg-type, return-value]
    await workspace.tokens(account=None, days=30)

    with pytest.raises(Blocked, match="do not say which resource it is"):
        await workspace.keys(ACCOUNT)
