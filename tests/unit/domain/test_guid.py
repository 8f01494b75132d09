"""What is accepted as the text of a GUID."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.guid import GUID, is_guid

ONE = "3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33"


@pytest.mark.parametrize(
    "text",
    [
        ONE,
        ONE.upper(),
        ONE.replace("d", "D"),
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",  # neither a version nor a variant
    ],
)
def test_guid_is_accepted_in_either_case(text: str) -> None:
    assert is_guid(text)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "me",
        ONE[:-1],
        f"{ONE}0",
        f"{ONE}\n",
        f" {ONE}",
        f"{{{ONE}}}",
        f"urn:uuid:{ONE}",
        ONE.replace("-", ""),
        ONE.replace("-", "", 1),
        ONE.replace("-", "_"),
        ONE.replace("3d8f", "3g8f"),
        ONE.replace("3", "\u0663"),  # a digit, and no ASCII one
        ONE.encode(),
        UUID(ONE),
        7,
        [ONE],
        None,
    ],
)
def test_anything_else_is_none(value: object) -> None:
    assert not is_guid(value)


@given(st.uuids(version=None))
def test_every_guid_is_accepted(value: UUID) -> None:
    assert is_guid(str(value))


def test_pattern_stands_in_longer_ones_without_a_group() -> None:
    match = re.fullmatch(rf"/tenants/({GUID})/(\w+)", f"/tenants/{ONE}/users")

    assert match is not None
    assert match.groups() == (ONE, "users")
