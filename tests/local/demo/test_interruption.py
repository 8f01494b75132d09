"""How the demo ends on a signal. What it prints is tested by running it (tests/e2e)."""

import signal
from collections.abc import Iterator

import pytest

from local.demo import __main__ as demo

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def handlers() -> Iterator[None]:
    """Restore the signal handlers of the test run afterwards."""
    kept = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_only_the_first_interruption_counts() -> None:
    with pytest.raises(KeyboardInterrupt):
        demo._interrupt(signal.SIGINT, None)
    assert [signal.getsignal(number) for number in SIGNALS] == [signal.SIG_IGN, signal.SIG_IGN]
