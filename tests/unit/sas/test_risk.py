"""What a leak allows, in a sentence, and how bad it is."""

import pytest

from shared.sas import Risk, Severity, assess
from tests.support.strings_to_sign import ACCOUNT, KEYS, NOW, only, query, signature

V = {"sv": "2022-11-02", "se": "2026-11-25T00:00:00Z", "sp": "r", "spr": "https"}
ALL = V | {"ss": "bqtf", "srt": "sco"}


def risk(parameters: dict[str, str], path: str = "data/b.csv", service: str = "blob") -> Risk:
    url = f"https://{ACCOUNT}.{service}.core.windows.net/{path}?{query(parameters, signature('x'))}"
    return assess(only(url), now=NOW)


@pytest.mark.parametrize(
    ("parameters", "severity"),
    [
        (V | {"sr": "b"}, Severity.LOW),
        (V | {"sr": "b", "sp": "rw"}, Severity.MEDIUM),
        (V | {"sr": "c"}, Severity.MEDIUM),
        (V | {"sr": "c", "sp": "rl", "se": "2051-01-01"}, Severity.HIGH),
        (V | {"sr": "c", "sp": "rwd"}, Severity.HIGH),
        (V | {"sr": "c", "sp": "rwd", "sip": "10.0.0.1"}, Severity.MEDIUM),
        (ALL, Severity.HIGH),
        (ALL | {"sp": "rwdlac"}, Severity.CRITICAL),
        (ALL | {"sp": "rwdlac", "se": "2020-01-01"}, Severity.LOW),
        ({"sv": "2022-11-02", "sr": "c", "si": "p"}, Severity.HIGH),
        (V | {"sr": "c", "skoid": "o", "sktid": "t", "sduoid": "u"}, Severity.LOW),
        (V | {"sr": "c", "skoid": "o", "sktid": "t"}, Severity.MEDIUM),
        (V | {"sr": "c", "sduoid": "u"}, Severity.MEDIUM),
        (V | {"sr": "c", "sp": "rwd", "skoid": "o", "sktid": "t", "ske": "2026-11-20"}, Severity.LOW),
        (V | {"sr": "c", "sp": "rwd", "sv": "2014-02-14", "sip": "10.0.0.1"}, Severity.HIGH),
        (V | {"sr": "b", "sip": "10.0.0.1"}, Severity.LOW),
    ],
)
def test_severities(parameters: dict[str, str], severity: Severity) -> None:
    assert risk(parameters).severity is severity


def test_key_is_critical() -> None:
    found = assess(only(f"AccountName={ACCOUNT};AccountKey={KEYS['key1']}"), now=NOW)
    assert found.severity is Severity.CRITICAL
    assert "until the key is regenerated" in found.grants


@pytest.mark.parametrize("path", ["models/v1/model.ckpt", "models/v1/weights.pkl"])
def test_writable_file_that_runs_code_is_worse(path: str) -> None:
    found = risk(V | {"sr": "b", "sp": "rw"}, path=path)
    assert found.severity is Severity.HIGH
    assert any("may run an attacker's code" in note for note in found.notes)


def test_readable_file_that_runs_code_is_not_worse() -> None:
    assert risk(V | {"sr": "b"}, path="models/v1/model.ckpt").severity is Severity.LOW


def test_writable_website_is_worse() -> None:
    found = risk(V | {"sr": "c", "sp": "rw"}, path="$web/index.html")
    assert found.severity is Severity.CRITICAL
    assert any("static website" in note for note in found.notes)


S = "of the storage account 'robustmodels'"
END = "until 2026-11-25, from anywhere, over https only."


@pytest.mark.parametrize(
    ("parameters", "path", "service", "sentence"),
    [
        (
            ALL | {"sp": "rwd", "se": "2051-10-06", "spr": "https,http"},
            "",
            "blob",
            f"Read, write and delete every blob, queue, table and file {S}, until 2051-10-06, from anywhere, "
            "also over plain HTTP.",
        ),
        (ALL | {"ss": "b"}, "", "blob", f"Read every blob {S}, {END}"),
        (
            ALL | {"srt": "c"},
            "",
            "blob",
            f"Read the containers, queues, tables and shares {S}, but not what is in them, {END}",
        ),
        (ALL | {"ss": "q", "srt": "s"}, "", "blob", f"Read the settings and lists of the queue service {S}, {END}"),
        (V | {"sr": "b"}, "c12/b", "blob", f"Read the blob 'c12/b' {S}, {END}"),
        (V | {"sr": "c"}, "c12/b", "blob", f"Read every blob in the container 'c12' {S}, {END}"),
        (V | {"sr": "c"}, "", "blob", f"Read every blob in the container (its name is not in the text) {S}, {END}"),
        (V | {"sr": "d", "sdd": "1"}, "c12/d/e", "dfs", f"Read everything in the directory 'c12/d' {S}, {END}"),
        (V | {"sr": "s"}, "s12/b", "file", f"Read every file in the share 's12' {S}, {END}"),
        (V | {"sr": "f"}, "s12/b", "file", f"Read the file 's12/b' {S}, {END}"),
        (V, "q12", "queue", f"Read the messages in the queue 'q12' {S}, {END}"),
        (V | {"tn": "Tab"}, "Tab", "table", f"Read the entities in the table 'Tab' {S}, {END}"),
        (
            V | {"tn": "Tab", "spk": "a"},
            "Tab",
            "table",
            f"Read a range of the entities in the table 'Tab' {S}, {END}",
        ),
        (
            V | {"sr": "c", "sip": "10.0.0.1", "se": "2026-11-21T13:00:00Z"},
            "c12",
            "blob",
            f"Read every blob in the container 'c12' {S}, until 2026-11-21 13:00 UTC, from '10.0.0.1' only, "
            "over https only.",
        ),
        (
            V | {"sr": "c", "skoid": "o", "sktid": "t", "sduoid": "u"},
            "c12",
            "blob",
            f"Read every blob in the container 'c12' {S}, until 2026-11-25, from anywhere, with the sign-in of one "
            "user, over https only.",
        ),
        (
            {"sv": "2022-11-02", "sr": "c", "si": "p"},
            "c12",
            "blob",
            f"Do what the stored access policy 'p' allows with every blob in the container 'c12' {S}, for as long as "
            "the stored access policy 'p' says, from anywhere, also over plain HTTP.",
        ),
        (
            {"sv": "2022-11-02", "sr": "c", "se": "soon"},
            "c12",
            "blob",
            f"Do what nothing in the token allows with every blob in the container 'c12' {S}, until an end that "
            "can't be read, from anywhere, also over plain HTTP.",
        ),
    ],
)
def test_sentences(parameters: dict[str, str], path: str, service: str, sentence: str) -> None:
    assert risk(parameters, path=path, service=service).grants == sentence


def test_unattributed_token_is_of_a_storage_account() -> None:
    found = assess(only(query(ALL, signature("x"))), now=NOW)
    assert "file of a storage account," in found.grants


def test_custom_domain_is_named() -> None:
    found = assess(only(f"https://cdn.contoso.example/c12/b?{query(V | {'sr': 'b'}, signature('x'))}"), now=NOW)
    assert "behind 'cdn.contoso.example'" in found.grants


def test_long_name_is_cut() -> None:
    assert "…'" in risk(V | {"sr": "b"}, path="c12/" + "x" * 500).grants


@pytest.mark.parametrize(
    ("parameters", "note"),
    [
        (ALL, "opens the whole account"),
        (V | {"sr": "c"}, "opens the whole container"),
        (V | {"sr": "b", "sp": "rwd"}, "More rights than needed"),
        (V | {"sr": "b", "se": "2027-03-01"}, "More life than needed: it lives for 99 days"),
        (V | {"sr": "b", "se": "2051-01-01"}, "it lives for 24 years"),
        (V | {"sr": "b", "spr": "https,http"}, "plain HTTP"),
        (V | {"sr": "b", "st": "2026-11-23"}, "not valid before 2026-11-23"),
        ({"sv": "2022-11-02", "sr": "c", "si": "p"}, "it never expires"),
        (V | {"sr": "c", "se": "soon"}, "valid for ever"),
        (V | {"sr": "b", "skoid": "o", "sktid": "t", "srh": "foo"}, "certain headers or query parameters"),
        (V | {"sr": "b", "skoid": "o", "sktid": "t", "srq": "bar"}, "certain headers or query parameters"),
    ],
)
def test_what_is_more_than_needed_is_named(parameters: dict[str, str], note: str) -> None:
    assert any(note in each for each in risk(parameters).notes)


def test_what_is_tight_has_no_notes() -> None:
    assert risk(V | {"sr": "b"}).notes == ()


@pytest.mark.parametrize(
    ("parameters", "path", "service"),
    [(V, "q12", "queue"), (V | {"sr": "c"}, "c12", "blob"), (V | {"sr": "c"}, "", "blob")],
)
def test_whole_that_was_published_as_a_whole_is_not_more_than_needed(
    parameters: dict[str, str], path: str, service: str
) -> None:
    assert not any("More scope" in note for note in risk(parameters, path=path, service=service).notes)


def test_container_of_models_may_hold_code() -> None:
    assert any("pickle" in note for note in risk(V | {"sr": "c", "sp": "rw"}, path="models").notes)
