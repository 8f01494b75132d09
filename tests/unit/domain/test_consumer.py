"""Who uses a storage account's keys, and on which of them a decision depends."""

from datetime import UTC, datetime

import pytest

from shared.domain.consumer import (
    Certainty,
    Consumer,
    ConsumersByResource,
    ConsumersByUse,
    Recovery,
    Snapshot,
    bound,
)

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def consumer(name: str, key: str | None, certainty: Certainty, recovery: Recovery) -> Consumer:
    return Consumer(
        resource_id=f"/subscriptions/S/providers/Microsoft.Web/sites/{name}",
        name=name,
        kind="App Service",
        key=key,
        certainty=certainty,
        basis="Its setting names the secret.",
        recovery=recovery,
    )


@pytest.mark.parametrize(
    ("certainty", "recovery", "is_bound"),
    [
        (Certainty.CERTAIN, Recovery.PERSON, True),
        (Certainty.CERTAIN, Recovery.SASQUASH, False),
        (Certainty.CERTAIN, Recovery.ITSELF, False),
        (Certainty.MAY, Recovery.PERSON, False),
    ],
)
def test_decision_depends_on_what_fails_for_certain_and_only_a_person_repairs(
    certainty: Certainty, recovery: Recovery, *, is_bound: bool
) -> None:
    one = consumer("Web", "key1", certainty, recovery)

    assert bound([one]) == ({"/subscriptions/s/providers/microsoft.web/sites/web"} if is_bound else frozenset())


def test_change_of_a_key_concerns_its_consumers_and_those_of_an_unknown_key() -> None:
    found = tuple(consumer(str(key), key, Certainty.MAY, Recovery.PERSON) for key in ("key1", "key2", None))

    of_key = ConsumersByResource(at=NOW, found=found, left_out=2).of_key("key1")

    assert ([each.name for each in of_key.found], of_key.left_out) == (["key1", "None"], 2)


def test_use_of_an_earlier_key_of_the_same_name_does_not_count() -> None:
    earlier = ConsumersByUse(at=NOW, key="key1", key_sha256="a" * 64, days=30)
    snapshot = Snapshot(account="contosodata", account_id="/subscriptions/s", by_use=(earlier,))

    assert snapshot.use_of("a" * 64) is earlier
    assert snapshot.use_of("b" * 64) is None
