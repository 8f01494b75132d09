"""Which SAS an account's SAS expiration policy refuses.

Source: "Configure an expiration policy for shared access signatures" (MicrosoftDocs/azure-docs, 2025-07-30).
"""

from datetime import timedelta

import pytest

from shared.domain.account import SasPolicy

BLOCK = SasPolicy(timedelta(hours=1), blocks=True)
HOUR = {"st": "2026-11-21T10:00:00Z", "se": "2026-11-21T11:00:00Z"}
UNBOUND = HOUR | {"skoid": "o"}


@pytest.mark.parametrize(
    "parameters",
    [
        {"se": "2026-11-21T10:01:00Z"},
        HOUR | {"se": "2026-11-21T11:00:01Z"},
        HOUR | {"st": "yesterday"},
        {"st": "2026-11-21T10:00:00Z"},
        {"se": "2026-11-21T10:01:00Z", "skoid": "o"},
        {"ss": "b", "srt": "o", "se": "2026-11-21T10:01:00Z"},
    ],
)
def test_sas_without_a_start_or_valid_longer_is_refused(parameters: dict[str, str]) -> None:
    assert BLOCK.refuses(parameters)


@pytest.mark.parametrize("parameters", [HOUR, HOUR | {"se": "2026-11-21"}, UNBOUND])
def test_sas_that_fits_is_not_refused(parameters: dict[str, str]) -> None:
    assert not BLOCK.refuses(parameters)


def test_sas_of_a_stored_access_policy_is_not_refused() -> None:
    assert not BLOCK.refuses({"si": "partners"})


def test_policy_that_only_logs_refuses_nothing() -> None:
    assert not SasPolicy(timedelta(hours=1), blocks=False).refuses({"se": "2030-01-01"})


def test_policy_whose_period_can_t_be_read_may_refuse_everything() -> None:
    assert SasPolicy(None, blocks=True).refuses(HOUR)
    assert not SasPolicy(None, blocks=True).refuses({"si": "partners"})


@pytest.mark.parametrize(
    ("parameters", "refused"), [(UNBOUND, True), (UNBOUND | {"sduoid": "u"}, False), (HOUR, False)]
)
def test_user_delegation_sas_must_be_bound_where_the_policy_asks(parameters: dict[str, str], refused: bool) -> None:
    assert SasPolicy(timedelta(hours=1), blocks=False, blocks_unbound=True).refuses(parameters) is refused
