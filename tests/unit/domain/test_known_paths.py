"""Which paths a record keeps, and which give way."""

from dataclasses import replace

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.known_paths import MOST, MOST_TRIED, KnownPath, KnownPaths, path_id, split
from shared.sas import Credential
from tests.support import samples
from tests.support.samples import leak

CREDENTIAL = replace(leak(samples.blob_sas()), path="first/a")
OTHER_VALUES = tuple(sorted((dict(CREDENTIAL.parameters) | {"sip": "203.0.113.9"}).items()))
COLUMN = 32 * 1024  # characters of a text column of Table Storage


def at(*paths: str) -> list[Credential]:
    return [replace(CREDENTIAL, path=path) for path in paths]


def many(count: int, *, start: int = 0, length: int = 0) -> list[Credential]:
    return at(*(f"wrong/{number}".ljust(length, "x") for number in range(start, start + count)))


def reported(*, by_person: bool = False) -> KnownPaths:
    return KnownPaths().with_report(CREDENTIAL, [CREDENTIAL], by_person=by_person)


def full_of_untried() -> KnownPaths:
    return reported().with_report(CREDENTIAL, many(MOST), by_person=False)


def kept(paths: KnownPaths) -> list[str | None]:
    return [one.path for one in paths.known]


def test_paths_of_all_reports_are_tried() -> None:
    paths = reported().with_report(CREDENTIAL, at("second/b"), by_person=False)

    assert [one.path for one in paths.readings(CREDENTIAL)] == ["first/a", "second/b"]


def test_record_of_an_earlier_version_keeps_its_own_path() -> None:
    paths = KnownPaths().with_report(CREDENTIAL, at("second/b"), by_person=False)

    assert kept(paths) == ["first/a", "second/b"]


def test_reading_with_other_parameters_is_tried() -> None:
    respelled = replace(CREDENTIAL, parameters=OTHER_VALUES)
    paths = reported().with_report(CREDENTIAL, [respelled], by_person=False)

    assert paths.readings(CREDENTIAL) == (CREDENTIAL, respelled)
    assert paths.unknown(CREDENTIAL, [respelled]) == ()


def test_paths_are_the_same_after_a_reading_with_other_parameters_was_verified() -> None:
    respelled = replace(CREDENTIAL, parameters=OTHER_VALUES)
    paths = reported().with_report(CREDENTIAL, [respelled, *at("second/b")], by_person=False)
    verified = paths.of_verified(respelled, CREDENTIAL)

    assert (verified.readings(respelled), verified.others(respelled)) == ((respelled,), paths.others(CREDENTIAL))


@given(st.lists(st.tuples(st.none() | st.text("abc", min_size=1), st.booleans()), max_size=20))
def test_parts_hold_every_reading(chosen: list[tuple[str | None, bool]]) -> None:
    readings = [
        replace(CREDENTIAL, path=path, parameters=OTHER_VALUES if other else CREDENTIAL.parameters)
        for path, other in chosen
    ]
    parts = list(split(readings, CREDENTIAL))

    assert sorted(map(repr, (one for part in parts for one in part.readings(CREDENTIAL)))) == sorted(
        map(repr, readings)
    )


def test_parts_fit_into_a_column() -> None:
    long = tuple((name, "x" * 2000 if name == "sip" else value) for name, value in OTHER_VALUES)
    readings = [replace(CREDENTIAL, path=f"{number}", parameters=long) for number in range(64)]
    parts = list(split(readings, CREDENTIAL))

    assert sum(len(part.respelled) for part in parts) == 64
    assert all(len(msgspec.json.encode(part)) < COLUMN for part in parts)


def test_known_path_changes_nothing() -> None:
    assert reported().with_report(CREDENTIAL, [CREDENTIAL], by_person=False) == reported()
    assert KnownPaths().unknown(CREDENTIAL, [CREDENTIAL]) == ()


def test_path_of_a_container_s_token_is_the_container() -> None:
    credential = leak(samples.policy_sas())
    paths = KnownPaths().with_report(credential, [replace(credential, path="models/deep/a")], by_person=False)

    assert paths.unknown(credential, [replace(credential, path="models/b")]) == ()


def test_verified_path_is_the_only_one_to_try() -> None:
    paths = reported().with_report(CREDENTIAL, at("second/b"), by_person=False)

    assert replace(paths, verified=True).readings(CREDENTIAL) == (CREDENTIAL,)


def test_how_many_other_paths_were_reported_includes_those_that_are_no_longer_kept() -> None:
    paths = replace(reported().with_report(CREDENTIAL, at("second/b"), by_person=False), dropped=5)

    assert paths.others(CREDENTIAL) == 6


def test_paths_that_did_not_verify_are_dropped_oldest_first() -> None:
    readings = many(MOST_TRIED + 3)
    paths = reported().with_report(CREDENTIAL, readings, by_person=False).tried(CREDENTIAL, [CREDENTIAL, *readings])

    assert kept(paths) == [one.path for one in readings[3:]]
    assert paths.dropped == 4


def test_new_path_replaces_the_oldest_that_did_not_verify() -> None:
    readings = many(MOST_TRIED - 1)
    tried = reported().with_report(CREDENTIAL, readings, by_person=False).tried(CREDENTIAL, [CREDENTIAL, *readings])
    paths = tried.with_report(CREDENTIAL, at("new/a"), by_person=False)
    paths = paths.tried(CREDENTIAL, at("new/a"))

    assert (kept(paths)[0], kept(paths)[-1], paths.dropped) == ("wrong/0", "new/a", 1)


def test_path_that_was_not_tried_yet_gives_way_to_no_stranger_s() -> None:
    full = full_of_untried()
    paths = full.with_report(CREDENTIAL, at("right/a"), by_person=False)

    assert (paths, [one.path for one in paths.unknown(CREDENTIAL, at("right/a"))]) == (full, ["right/a"])


def test_path_of_a_person_is_kept_even_among_paths_that_were_not_tried() -> None:
    paths = full_of_untried().with_report(CREDENTIAL, at("right/a"), by_person=True)

    assert paths.known[-1] == KnownPath("right/a", by_person=True)
    assert (len(paths.known), paths.dropped) == (MOST, 1)


def test_path_that_a_person_reports_too_is_a_person_s() -> None:
    paths = reported().with_report(CREDENTIAL, [CREDENTIAL], by_person=True)

    assert paths.known == (KnownPath("first/a", by_person=True),)


def test_path_that_gave_way_in_the_same_report_is_taken_up_again() -> None:
    readings = many(MOST_TRIED - 1)
    tried = reported().with_report(CREDENTIAL, readings, by_person=False).tried(CREDENTIAL, [CREDENTIAL, *readings])
    crowded = tried.with_report(CREDENTIAL, many(MOST - MOST_TRIED, start=100), by_person=False)
    gone = next(one for one in crowded.known if one.tried)
    paths = crowded.with_report(CREDENTIAL, [*at("new/a"), *at(gone.path or "")], by_person=True)

    assert {one.path for one in paths.known if one.by_person} == {"new/a", gone.path}


def test_person_s_path_outlives_every_flood() -> None:
    paths = reported(by_person=True).tried(CREDENTIAL, [CREDENTIAL])
    for start in range(0, 500, 50):
        readings = many(50, start=start)
        paths = paths.with_report(CREDENTIAL, readings, by_person=False).tried(CREDENTIAL, readings)

    assert paths.known[0] == KnownPath("first/a", by_person=True, tried=True)


def test_persons_paths_alone_are_bounded_too() -> None:
    readings = many(3 * MOST)
    paths = KnownPaths()
    for reading in readings:
        paths = paths.with_report(CREDENTIAL, [reading], by_person=True).tried(CREDENTIAL, [reading])

    assert len(paths.known) <= MOST_TRIED + 1


def test_nothing_is_marked_once_a_path_verified() -> None:
    verified = replace(reported(), verified=True)

    assert verified.tried(CREDENTIAL, [CREDENTIAL]) == verified


def test_path_id_is_that_of_what_is_signed() -> None:
    container = leak(samples.policy_sas())
    ids = [path_id(one) for one in (*at("models/a", "models/b"), container, replace(container, path="models/x"))]

    assert (ids[0] == ids[1], ids[2] == ids[3], path_id(None)) == (False, True, "")


reports = st.lists(
    st.tuples(
        st.lists(st.integers(0, 300), min_size=1, max_size=65), st.integers(1, 4000), st.booleans(), st.booleans()
    ),
    max_size=8,
)


@given(reports)
def test_no_reports_outgrow_the_record_or_drop_what_was_not_tried(
    several: list[tuple[list[int], int, bool, bool]],
) -> None:
    paths = reported()
    for numbers, length, by_person, weighed in several:
        readings = at(*(f'"{number}/a'.ljust(length, '"') for number in numbers))
        before = [one for one in paths.known if not one.tried]
        paths = paths.with_report(CREDENTIAL, readings, by_person=by_person)
        if not by_person:
            assert [one for one in before if one not in paths.known] == []
        if weighed:
            paths = paths.tried(CREDENTIAL, paths.readings(CREDENTIAL))
            assert sum(one.tried for one in paths.known) <= MOST_TRIED
        assert len(msgspec.json.encode(paths).decode()) < COLUMN
        assert len(paths.known) <= MOST
