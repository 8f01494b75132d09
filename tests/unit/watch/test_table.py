"""The table of the command: one line a token, whatever its clients write."""

from typing import Any

import msgspec
import pytest

from shared.watch.answer import SasInUse, shown
from shared.watch.signers import SignedBy, Signer
from shared.watch.table import table
from shared.watch.uses import use_of
from tests.support.logged_tokens import account_token, container_token, logged
from tests.support.samples import NOW


def token(query: str, **changed: Any) -> SasInUse:
    use = use_of(logged(query))
    assert use is not None
    made = shown(use, Signer(SignedBy.KEY1, use.credential), now=NOW, revocation=None)
    return msgspec.structs.replace(made, **changed)


def test_table_has_a_line_for_each_token() -> None:
    head, first, second = table([token(account_token()), token(container_token(policy_id="partners"))]).splitlines()

    assert head.split()[:3] == ["ACCOUNT", "KIND", "RESOURCE"]
    assert first.split() == [
        *("robustmodels", "account_sas", "(account)", "rwdl", "2051-10-06", "critical", "key1"),
        *("2026-11-12", "2026-11-21", "10", "203.0.113.7"),
    ]
    assert second.split()[:7] == ["robustmodels", "policy_sas", "models", "policy", "partners", "policy", "partners"]
    assert head.index("ENDS") == first.index("2051-10-06")


def test_empty_list_has_its_header() -> None:
    assert table([]).startswith("ACCOUNT")


@pytest.mark.parametrize("hostile", ["a\nb", "\x1b[31m", "\u202eexe", "x" * 500, "`id`"])
def test_hostile_text_stays_in_its_line_and_column(hostile: str) -> None:
    lines = table([token(account_token(), resource=f"models/{hostile}", policy=hostile)]).splitlines()

    assert len(lines) == 2
    assert all(line.isprintable() and len(line) < 300 for line in lines)


def test_clients_beyond_three_are_counted() -> None:
    addresses = tuple(f"203.0.113.{number}" for number in range(9))

    [_, line] = table([token(account_token(), clients=addresses)]).splitlines()

    assert line.endswith("203.0.113.0, 203.0.113.1, 203.0.113.2 +6")
