"""How strictly storage reads a SAS: every case is one change to a token that it reads."""

import pytest

from local.storage.errors import Refusal
from local.storage.sas.token import Kind, Token
from tests.support.sas_requests import token_of

BLOB = {"sv": "2022-11-02", "sr": "b", "sp": "r", "se": "2030-01-01T00:00:00Z"}
KEY = {"skoid": "o", "sktid": "t", "skt": "2026-01-01", "ske": "2026-01-02", "sks": "b", "skv": "2022-11-02"}
ACCOUNT = {"sv": "2022-11-02", "ss": "b", "srt": "o", "sp": "r", "se": "2030-01-01"}
TABLE = {"sv": "2019-02-02", "tn": "Rows", "sp": "r", "se": "2030-01-01"}
FILE = {"sv": "2022-11-02", "sr": "f", "sp": "r", "se": "2030-01-01"}


def query(fields: dict[str, str]) -> str:
    return "&".join(f"{name}={value}" for name, value in (fields | {"sig": "x"}).items())


def read(fields: dict[str, str], path: str = "data/a", service: str = "blob") -> Token:
    return token_of(path, query(fields), service=service)


def detail_of(fields: dict[str, str], path: str = "data/a", service: str = "blob") -> str:
    """Return what storage says of a token that it can't read."""
    with pytest.raises(Refusal) as caught:
        read(fields, path, service)
    assert caught.value.code == "AuthenticationFailed"
    return caught.value.detail


@pytest.mark.parametrize(
    ("fields", "kind"), [(BLOB, Kind.SERVICE), (BLOB | KEY, Kind.DELEGATION), (ACCOUNT, Kind.ACCOUNT)]
)
def test_kind_follows_from_the_fields(fields: dict[str, str], kind: Kind) -> None:
    assert read(fields).kind is kind


def test_signed_resource_of_an_account_sas_is_ignored() -> None:
    # azure-storage for Java up to 8.6.6 repeats `srt` as `sr`.
    assert read(ACCOUNT | {"sr": "sco"}).kind is Kind.ACCOUNT


def test_plus_in_a_value_is_a_space() -> None:
    # Go's url.Values.Encode writes a space as "+", and Azure accepts its tokens.
    assert read(BLOB | {"si": "policy+1", "rscc": "a%2Bb"}).fields["si"] == "policy 1"
    assert read(BLOB | {"rscc": "a%2Bb"}).fields["rscc"] == "a+b"


def test_of_a_repeated_parameter_the_first_counts() -> None:
    assert token_of("data/a", query(BLOB) + "&sp=rw").fields["sp"] == "r"


# azure-sdk-for-net#22489; AzureStorageExplorer#8703 tried 9999-99-99.
@pytest.mark.parametrize("version", ["", "9999-99-99", "2099-01-01", "1.0", "2011-08-18", "2022-11-2"])
def test_unknown_version_is_refused_with_its_own_words(version: str) -> None:
    assert detail_of(BLOB | {"sv": version, "sr": "bs"}).startswith("sv is either not in the correct format or")


def test_token_without_a_version_is_for_blobs_and_containers_only() -> None:
    assert read({"sr": "b", "sp": "r", "se": "2030-01-01"}).version == ""
    assert "sv is" in detail_of({"sp": "r", "se": "2030-01-01"}, "jobs", "queue")
    assert "sv is" in detail_of(ACCOUNT | {"sv": ""})


@pytest.mark.parametrize(
    ("fields", "path", "service"),
    [
        (ACCOUNT | {"sv": "2015-02-21"}, "data/a", "blob"),
        (FILE | {"sv": "2014-02-14"}, "docs/a", "file"),
        (BLOB | KEY | {"sv": "2018-06-17"}, "data/a", "blob"),
        (BLOB | KEY | {"sks": "q", "sv": "2025-05-05"}, "jobs", "queue"),
        (BLOB | {"sr": "bs", "sv": "2018-06-17"}, "data/a", "blob"),
        (BLOB | {"sr": "d", "sdd": "1", "sv": "2019-12-12"}, "data/a", "blob"),
    ],
)
def test_what_a_version_does_not_have_is_refused(fields: dict[str, str], path: str, service: str) -> None:
    assert detail_of(fields, path, service) == "Signature fields not well formed."


@pytest.mark.parametrize("name", ["sp", "se", "ss", "srt"])
def test_fields_of_an_account_sas_are_mandatory(name: str) -> None:
    assert detail_of({field: value for field, value in ACCOUNT.items() if field != name}) == (
        f"{name} is mandatory. Cannot be empty"
    )


@pytest.mark.parametrize("name", ["skoid", "sktid", "skt", "ske", "sks", "skv", "sp", "se"])
def test_fields_of_a_user_delegation_sas_are_mandatory(name: str) -> None:
    fields = {field: value for field, value in (BLOB | KEY).items() if field != name}
    assert detail_of(fields) == f"{name} is mandatory. Cannot be empty"


@pytest.mark.parametrize(
    "change", [{"si": "partners"}, {"sks": "q"}, {"skv": "2022-11-03"}, {"skt": "yesterday"}, {"ske": "2026-1-2"}]
)
def test_key_of_a_user_delegation_sas_is_read_strictly(change: dict[str, str]) -> None:
    assert detail_of(BLOB | KEY | change) == "Signature fields not well formed."


# "Formatting DateTime values": the zone is optional, the fraction has up to seven digits.
@pytest.mark.parametrize(
    "text",
    ["2030-01-01", "2030-01-01T10:00", "2030-01-01T10:00:00.1234567Z", "2030-01-01T10:00:00%2B23:59"],
)
def test_accepted_forms_of_a_time(text: str) -> None:
    assert read(BLOB | {"se": text, "st": "2020-01-01"}).fields["st"]


@pytest.mark.parametrize(
    "text",
    [
        *("2030-13-01", "2030-02-30", "20300101", "2030-01-01 10:00", "2030-01-01T10", "01/01/2030"),
        *("2030-01-01T10:00:00.12345678Z", "2030-01-01T10:00:00%2B24:00", "2030-01-01T10:00:00,5Z", "1893456000"),
    ],
)
def test_other_forms_of_a_time_are_refused(text: str) -> None:
    assert detail_of(BLOB | {"st": text}) == "Signature fields not well formed."


@pytest.mark.parametrize("permissions", ["wr", "rr", "rz", "lr", "dr", "R", "rwcd"])
def test_permissions_out_of_order_repeated_or_unknown_are_refused(permissions: str) -> None:
    # azure-storage-node#182: read, write, add and create, in this order.
    assert detail_of(BLOB | {"sp": permissions}) == "Signature fields not well formed."


@pytest.mark.parametrize("permissions", ["racwdxltmeiyf", "racwdxyltfmei", "racwdxtmeiy", "rl", "wdl"])
def test_permissions_as_client_libraries_order_them_are_read(permissions: str) -> None:
    assert read(BLOB | {"sp": permissions}).get("sp") == permissions


def test_permissions_of_an_account_sas_are_in_any_order() -> None:
    # azure-rest-api-specs#20141, tried by Microsoft's support.
    assert read(ACCOUNT | {"sp": "lrwd"}).get("sp") == "lrwd"
    assert detail_of(ACCOUNT | {"sp": "rr"}) == "Signature fields not well formed."


@pytest.mark.parametrize("change", [{"ss": "bx"}, {"ss": "bb"}, {"srt": "a"}, {"srt": "oo"}])
def test_services_and_resource_types_are_known_letters(change: dict[str, str]) -> None:
    assert detail_of(ACCOUNT | change) == "Signature fields not well formed."


@pytest.mark.parametrize("text", ["10.0.0.1", "10.0.0.1-10.0.0.9"])
def test_address_and_range_are_read(text: str) -> None:
    assert read(BLOB | {"sip": text}).get("sip") == text


@pytest.mark.parametrize("text", ["10.0.0.0/8", "::1", "10.0.0.9-10.0.0.1", "10.0.0.1-", "host"])
def test_other_addresses_are_refused(text: str) -> None:
    assert detail_of(BLOB | {"sip": text}) == "Signature fields not well formed."


@pytest.mark.parametrize("protocols", ["http", "http,https", "https, http"])
def test_protocols_are_https_with_or_without_http(protocols: str) -> None:
    assert read(BLOB | {"spr": "https,http"}).get("spr") == "https,http"
    assert detail_of(BLOB | {"spr": protocols}) == "Signature fields not well formed."


def test_restrictions_of_a_version_that_has_none_are_not_read() -> None:
    assert read(BLOB | {"sv": "2013-08-15", "sip": "anywhere", "spr": "http"}).version == "2013-08-15"


@pytest.mark.parametrize("kind", ["", "f", "s", "x", "bc"])
def test_signed_resource_is_one_of_the_service(kind: str) -> None:
    assert detail_of(BLOB | {"sr": kind})


@pytest.mark.parametrize(
    ("kind", "path", "resource"),
    [
        ("b", "data/in/a", "data/in/a"),
        ("b", "a", "$root/a"),
        ("c", "data/in/a", "data"),
        ("c", "a", "$root"),
    ],
)
def test_signed_resource_follows_from_the_url(kind: str, path: str, resource: str) -> None:
    assert read(BLOB | {"sr": kind}, path).resource == resource


@pytest.mark.parametrize(("depth", "resource"), [("0", "data"), ("1", "data/in"), ("2", "data/in/side")])
def test_depth_says_which_levels_are_the_directory(depth: str, resource: str) -> None:
    assert read(BLOB | {"sr": "d", "sdd": depth}, "data/in/side/a").resource == resource


@pytest.mark.parametrize("depth", ["", "-1", "one", "5", "1000"])
def test_depth_is_a_number_of_levels_that_the_url_has(depth: str) -> None:
    assert detail_of(BLOB | {"sr": "d", "sdd": depth}, "data/in/side/a")


@pytest.mark.parametrize("path", ["Rows", "rows()", "ROWS(PartitionKey='p',RowKey='1')", "$batch"])
def test_table_is_signed_in_lower_case(path: str) -> None:
    assert read(TABLE, path, "table").resource == "rows"


def test_table_of_the_url_is_the_signed_one() -> None:
    assert detail_of(TABLE, "Others()", "table") == "Signature did not match."
    assert detail_of(TABLE | {"tn": ""}, "Rows()", "table") == "tn is mandatory. Cannot be empty"


@pytest.mark.parametrize("row", ["srk", "erk"])
def test_row_key_needs_its_partition_key(row: str) -> None:
    assert detail_of(TABLE | {row: "1"}, "Rows()", "table") == "Signature fields not well formed."
