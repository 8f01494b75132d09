"""What to issue instead of what leaked, and how to harden the account."""

import shlex
from dataclasses import replace
from itertools import pairwise

import pytest

from shared.domain.revocation import Revocation
from shared.domain.target import ActionKind
from shared.domain.text import Code
from shared.domain.usage import Touched, Usage
from shared.followup.briefing.commands import issue_instead
from shared.followup.briefing.recommendations import hardening, instead
from tests.support import samples
from tests.support.samples import NOW


def revoked(*objects: Touched, text: str | None = None, action: ActionKind = ActionKind.ACCOUNT_KEY) -> Revocation:
    usage = Usage(NOW, requests=9, objects=objects) if objects else None
    finding = samples.finding(text)
    execution = replace(samples.execution(), action=action)
    return samples.revocation(finding=finding, account=samples.account(), execution=execution, usage=usage)


def test_what_was_read_and_not_written_gets_a_token_each() -> None:
    commands = instead(revoked(Touched("/acct/models/a b.ckpt", 3, 0), Touched("/acct/models/evil.ckpt", 1, 1)))

    [line] = commands
    [command] = (part for part in line.parts if isinstance(part, Code))
    words = shlex.split(command.code.replace("$(", "").replace(")", ""))
    options = dict(pairwise(words))
    assert (options["--container-name"], options["--name"], options["--permissions"]) == ("models", "a b.ckpt", "r")
    assert {"--as-user", "--https-only"} <= set(words)


def test_it_is_not_a_list_without_end() -> None:
    assert len(instead(revoked(*(Touched(f"/acct/models/{n}", 1, 0) for n in range(9))))) == 3


def test_the_leaked_blob_stands_in_where_the_use_is_not_known() -> None:
    [line] = instead(revoked(text=samples.blob_sas()))

    assert "--name" in str(line)


@pytest.mark.parametrize("name", ["/acct/", "/acct/models", "/acct/models/", "/acct/$web/x`id`", "/acct/m/-rf;x"])
def test_unsafe_name_has_no_command(name: str) -> None:
    assert instead(revoked(Touched(name, 1, 0))) == ()


@pytest.mark.parametrize("blob", ["a`b", "a$(id)", "--name", "a\nb", "é", "", "x" * 300])
def test_a_hostile_name_makes_no_command(blob: str) -> None:
    assert issue_instead(samples.account().id, "models", blob) is None


def test_secret_in_the_name_of_a_blob_makes_no_command() -> None:
    """A person pasted a key into a path: commands are not redacted."""
    assert issue_instead(samples.account().id, "models", samples.KEYS["key1"].replace("/", "+")) is None


def test_a_lockdown_leaves_nothing_to_issue() -> None:
    assert instead(revoked(Touched("/acct/models/a", 1, 0), action=ActionKind.LOCKDOWN)) == ()


def test_hardening_is_for_keys_that_may_still_sign() -> None:
    record = revoked()
    off = replace(record, account=replace(samples.account(), shared_key_access=False))

    assert "--sas-expiration-period" in str(hardening(record)[0])
    assert hardening(off) == hardening(revoked(action=ActionKind.STORED_POLICY)) == ()
