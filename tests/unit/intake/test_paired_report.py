"""The report of pairs that tests make is the one that TruffleHog wrote."""

import json

from tests.support.credential_maker import Maker
from tests.support.paired_report import OF_TWO, report_of


def test_made_report_of_two_connection_strings_is_the_stored_one() -> None:
    maker = Maker("two")
    names = [maker.account(), maker.account()]
    made = report_of([(name, maker.keys[name]["key1"]) for name in names])

    def rows(report: bytes) -> list[str]:
        return sorted(json.dumps(json.loads(line), sort_keys=True) for line in report.splitlines())

    assert rows(made) == rows(OF_TWO.read_bytes())
