"""What the logs tell, in words."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.target import ActionKind
from shared.domain.usage import Client, Touched, Usage
from shared.followup.briefing.usage import also_affected, summary, used
from tests.support import samples
from tests.support.samples import NOW

USED = Usage(
    at=NOW,
    days=90,
    requests=12,
    served=10,
    writes=1,
    deletes=2,
    bytes_out=3_200_000,
    first=NOW - timedelta(days=2),
    last=NOW,
    objects=(Touched("/acme/models/a.csv", 9, 0), Touched("/acme/models/b.ckpt", 1, 1)),
    clients=(Client("203.0.113.9", "curl/8", 12),),
)


def said(usage: Usage | None, **changed: object) -> str:
    return "\n".join(used(usage, samples.revocation(**changed)))


def test_unchecked_usage_has_no_text() -> None:
    assert said(None) == ""


def test_usage_has_numbers_clients_and_objects() -> None:
    text = said(USED)

    assert "Used 12 times, from " in text
    assert "10 requests served" in text
    assert "3.2 MB read, 1 write, 2 deletes" in text
    assert "Clients: 203.0.113.9 (curl/8, 12)." in text
    assert "/acme/models/a.csv (9 requests)" in text


def test_what_runs_and_was_written_comes_first() -> None:
    [first, *_] = used(USED, samples.revocation())

    assert first.startswith("FILES THAT RUN WHEN OPENED WERE WRITTEN: /acme/models/b.ckpt (1 request, 1 to write)")


@pytest.mark.parametrize(
    ("name", "runs"),
    [("/a/x.PTH", True), ("/a/train.py", True), ("/a/setup.exe", True), ("/a/data.csv", False), ("/a/ckpt", False)],
)
def test_models_scripts_and_programs_run(name: str, runs: bool) -> None:
    assert Touched(name, 1, 1).runs is runs


@pytest.mark.parametrize(
    ("served_after", "says"),
    [(0, "No request was served after the revocation."), (3, "3 requests SERVED after the revocation")],
)
def test_use_after_the_revocation_is_shown_separately(served_after: int, says: str) -> None:
    assert says in said(replace(USED, served_after=served_after), execution=samples.execution())


def test_many_clients_and_objects_are_cut_with_their_number() -> None:
    crowd = tuple(Client(f"203.0.113.{n}", "x", 1) for n in range(9))

    assert "and 4 more." in said(replace(USED, clients=crowd))


def test_who_else_uses_the_key_breaks_only_where_the_key_is_revoked() -> None:
    usage = replace(USED, others=(Client("198.51.100.1", "billing", 40),))
    by_key, by_policy = samples.plan(), replace(samples.plan(), action=ActionKind.STORED_POLICY)

    [line] = also_affected(usage, samples.revocation(plan=by_key))

    assert "Other clients of key2 in the last 90 days: 198.51.100.1 (billing, 40)" in line
    assert also_affected(usage, samples.revocation(plan=by_policy)) == ()
    assert "No other client used key2" in also_affected(replace(usage, others=()), samples.revocation(plan=by_key))[0]


@pytest.mark.parametrize(
    ("usage", "says"),
    [
        (Usage(NOW, unknown="It is not logged."), "Usage is unknown. It is not logged."),
        (Usage(NOW, days=90), "show no use of it"),
        (USED, "show 12 requests with it; 10 were served"),
    ],
)
def test_the_history_has_one_sentence(usage: Usage, says: str) -> None:
    assert says in summary(usage)
