"""A recently regenerated key still verifies what it signed."""

from datetime import datetime, timedelta

from shared.domain.retired_keys import RetiredKey, RetiredKeys
from tests.support import samples
from tests.support.samples import KEYS, NOW

ACCOUNT = samples.account().name


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def test_what_the_retired_key_signed_is_recognized() -> None:
    keys = RetiredKeys(clock=Clock())
    keys.add(ACCOUNT, RetiredKey("key2", KEYS["key2"], NOW))

    found = keys.behind(samples.leak(samples.account_sas(key_name="key2")), account=ACCOUNT)

    assert found is not None
    assert (found.name, found.at) == ("key2", NOW)


def test_what_another_key_signed_is_not() -> None:
    keys = RetiredKeys(clock=Clock())
    keys.add(ACCOUNT, RetiredKey("key2", KEYS["key2"], NOW))

    assert keys.behind(samples.leak(samples.account_sas(key_name="key1")), account=ACCOUNT) is None


def test_another_account_has_keys_of_its_own() -> None:
    keys = RetiredKeys(clock=Clock())
    keys.add("other", RetiredKey("key2", KEYS["key2"], NOW))

    assert keys.behind(samples.leak(samples.account_sas(key_name="key2")), account=ACCOUNT) is None


def test_it_is_forgotten_after_an_hour() -> None:
    clock = Clock()
    keys = RetiredKeys(clock=clock)
    keys.add(ACCOUNT, RetiredKey("key2", KEYS["key2"], NOW))
    clock.now = NOW + timedelta(hours=1)

    assert keys.behind(samples.leak(samples.account_sas(key_name="key2")), account=ACCOUNT) is None


def test_no_more_than_four_of_an_account_are_kept() -> None:
    keys = RetiredKeys(clock=Clock())
    keys.add(ACCOUNT, RetiredKey("key2", KEYS["key2"], NOW))
    for name in "abcd":
        keys.add(ACCOUNT, RetiredKey("key1", samples.key(name), NOW))

    assert keys.behind(samples.leak(samples.account_sas(key_name="key2")), account=ACCOUNT) is None


def test_a_retired_key_is_shown_to_nobody() -> None:
    assert KEYS["key2"] not in repr(RetiredKey("key2", KEYS["key2"], NOW))


def test_no_key_stays_in_memory_for_longer_than_its_hour_and_the_next_rotation() -> None:
    clock = Clock()
    keys = RetiredKeys(clock=clock)
    keys.add("other", RetiredKey("key2", KEYS["key2"], NOW))
    clock.now = NOW + timedelta(hours=1)
    keys.add(ACCOUNT, RetiredKey("key1", KEYS["key1"], clock.now))

    assert set(keys._of) == {ACCOUNT}
