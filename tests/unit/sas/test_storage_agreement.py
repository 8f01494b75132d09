"""The analyzer and the stand-in of storage, written apart, agree on every version and kind of token."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.storage.sas.signing import sign, signing_key, string_to_sign
from local.storage.sas.token import VERSIONS
from local.tenant.model import Account
from shared.sas import verify
from tests.support.sas_requests import token_of
from tests.support.strings_to_sign import ACCOUNT, KEYS, only

TEXT = st.text("abc XYZ-_/;=ü", min_size=1, max_size=8)
COMMON = {"st": st.just("2026-01-02T03:04:05Z"), "si": TEXT}
RESTRICTED = {"sip": st.just("10.0.0.1-10.0.0.9"), "spr": st.sampled_from(("https", "https,http"))}
HEADERS = dict.fromkeys(("rscc", "rscd", "rsce", "rscl", "rsct"), TEXT)
RANGES = st.sampled_from(({}, {"spk": "a"}, {"spk": "a", "srk": "1", "epk": "c", "erk": "2"}))
SNAPSHOT = "2026-01-05T10:11:12.0000000Z"


def optional(fields: dict[str, st.SearchStrategy[str]]) -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries({}, optional=fields)


def since(first: str) -> st.SearchStrategy[str]:
    return st.sampled_from(sorted(version for version in VERSIONS if version >= first))


def is_accepted_and_attributed(service: str, path: str, fields: dict[str, str], *, time: str = "") -> None:
    """Sign the token as storage does, and have both sides find the key."""
    fields = {"se": "2030-01-01", "sp": "r"} | fields
    query = "&".join(
        [*([time] if time else []), *(f"{name}={quote(text, safe='')}" for name, text in fields.items())]
    )
    signature = sign(string_to_sign(token_of(path, query, account=ACCOUNT, service=service), ACCOUNT), KEYS["key2"])
    signed = f"{query}&sig={quote(signature, safe='')}"
    account = Account(ACCOUNT, "tests", keys=KEYS)
    assert signing_key(token_of(path, signed, account=ACCOUNT, service=service), account) == "key2"
    leak = only(f"https://{ACCOUNT}.{service}.core.windows.net/{quote(path)}?{signed}")
    assert verify(leak, account=ACCOUNT, keys=KEYS).key == "key2"


@given(since("2012-02-12"), st.sampled_from(("b", "c")), optional(COMMON | RESTRICTED | HEADERS | {"ses": TEXT}))
def test_blob_and_container(version: str, resource: str, fields: dict[str, str]) -> None:
    is_accepted_and_attributed("blob", "data/in/a b.txt", fields | {"sv": version, "sr": resource})


@given(since("2018-11-09"), st.sampled_from(("bs", "bv")), optional(COMMON | RESTRICTED | HEADERS | {"ses": TEXT}))
def test_snapshot_and_version(version: str, resource: str, fields: dict[str, str]) -> None:
    name = "snapshot" if resource == "bs" else "versionid"
    is_accepted_and_attributed("blob", "data/a", fields | {"sv": version, "sr": resource}, time=f"{name}={SNAPSHOT}")


@given(since("2020-02-10"), st.sampled_from(("1", "2")), optional(COMMON | RESTRICTED | HEADERS))
def test_directory(version: str, depth: str, fields: dict[str, str]) -> None:
    is_accepted_and_attributed("blob", "data/in/side/a", fields | {"sv": version, "sr": "d", "sdd": depth})


@pytest.mark.parametrize("resource", ["b", "c"])
def test_blob_without_a_version(resource: str) -> None:
    is_accepted_and_attributed("blob", "data/a", {"sr": resource})


@given(since("2015-02-21"), st.sampled_from(("f", "s")), optional(COMMON | RESTRICTED | HEADERS))
def test_file_and_share(version: str, resource: str, fields: dict[str, str]) -> None:
    is_accepted_and_attributed("file", "docs/in/a.txt", fields | {"sv": version, "sr": resource})


@given(since("2012-02-12"), optional(COMMON | RESTRICTED))
def test_queue(version: str, fields: dict[str, str]) -> None:
    is_accepted_and_attributed("queue", "jobs/messages", fields | {"sv": version})


@given(since("2012-02-12"), optional(COMMON | RESTRICTED), RANGES)
def test_table(version: str, fields: dict[str, str], ranges: dict[str, str]) -> None:
    is_accepted_and_attributed("table", "Rows()", fields | ranges | {"sv": version, "tn": "Rows"})


@given(
    since("2015-04-05"),
    st.sampled_from(("b", "bfqt", "tq")),
    st.sampled_from(("s", "sco")),
    optional({"st": COMMON["st"], "ses": TEXT} | RESTRICTED),
)
def test_account(version: str, services: str, types: str, fields: dict[str, str]) -> None:
    is_accepted_and_attributed("blob", "data/a", fields | {"sv": version, "ss": services, "srt": types})
