"""Strings-to-sign of storage: against Microsoft's client libraries, and as the REST documentation spells them out."""

from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import generate_account_sas as generate_table_account_sas
from azure.data.tables import generate_table_sas
from azure.storage.blob import UserDelegationKey, generate_account_sas
from azure.storage.blob._shared_access_signature import BlobSharedAccessSignature
from azure.storage.fileshare import generate_account_sas as generate_file_account_sas
from azure.storage.fileshare._shared_access_signature import FileSharedAccessSignature
from azure.storage.queue import generate_account_sas as generate_queue_account_sas
from azure.storage.queue._shared_access_signature import QueueSharedAccessSignature

from local.storage.sas.signing import delegation_key, sign, signing_key
from local.storage.sas.token import Kind
from local.tenant.model import Account, DelegationKey, new_storage_key
from tests.support.sas_requests import token_of

ACCOUNT = Account("models", "tests", keys={"key1": new_storage_key(), "key2": new_storage_key()})
KEY2 = ACCOUNT.keys["key2"]
START, END = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
COMMON: dict[str, Any] = {"permission": "r", "start": START, "expiry": END, "ip": "10.0.0.1-10.0.0.9"}
HEADERS: dict[str, Any] = {
    "cache_control": "no-cache",
    "content_disposition": "file; attachment",
    "content_encoding": "gzip",
    "content_language": "en",
    "content_type": "text/plain; charset=utf-8",
}
FULL = COMMON | HEADERS | {"protocol": "https"}
SNAPSHOT = "2026-01-05T10:11:12.0000000Z"

# The library signs one layout: that of all versions from the first that has it.
BLOB_VERSIONS = ("2020-12-06", "2021-08-06", "2025-07-05", "2026-10-06")
OTHER_VERSIONS = ("2015-04-05", "2019-02-02", "2020-12-06", "2026-10-06")


def blob_sas(version: str, key: UserDelegationKey | None = None) -> BlobSharedAccessSignature:
    made = BlobSharedAccessSignature("models", None if key else KEY2, user_delegation_key=key)
    made.x_ms_version = version
    return made


def signed_by(path: str, query: str, service: str = "blob") -> str | None:
    return signing_key(token_of(path, query, service=service), ACCOUNT)


# Tokens of an account key


@pytest.mark.parametrize("version", BLOB_VERSIONS)
@pytest.mark.parametrize("fields", [COMMON, FULL | {"encryption_scope": "scope-1"}], ids=["few", "all"])
def test_blob_sas_of_the_library_is_verified(version: str, fields: dict[str, Any]) -> None:
    query = blob_sas(version).generate_blob("data", "a b/ü+%.csv", **fields)
    assert signed_by("data/a b/ü+%.csv", query) == "key2"


@pytest.mark.parametrize("version", BLOB_VERSIONS)
def test_container_sas_of_the_library_is_verified_on_each_blob(version: str) -> None:
    query = blob_sas(version).generate_container("data", **FULL)
    assert signed_by("data/a/b", query) == "key2"


def test_container_sas_is_for_the_root_container_where_the_url_has_none() -> None:
    query = blob_sas("2026-10-06").generate_container("$root", **COMMON)
    assert signed_by("logo.png", query) == "key2"
    assert signed_by("logo.png", f"restype=container&{query}") is None


@pytest.mark.parametrize("version", BLOB_VERSIONS)
def test_directory_sas_of_the_library_covers_its_levels(version: str) -> None:
    query = blob_sas(version).generate_blob("data", "in/side", is_directory=True, sdd=2, **COMMON)
    assert signed_by("data/in/side/deep/a.csv", query) == "key2"
    assert signed_by("data/in/other/a.csv", query) is None


@pytest.mark.parametrize(("argument", "parameter"), [("snapshot", "snapshot"), ("version_id", "versionid")])
def test_snapshot_and_version_are_signed_with_their_time(argument: str, parameter: str) -> None:
    # The library leaves the time out of the token, and sends it with the request.
    query = blob_sas("2026-10-06").generate_blob("data", "a", **COMMON, **{argument: SNAPSHOT})
    query = "&".join(pair for pair in query.split("&") if not pair.startswith("snapshot="))
    assert signed_by("data/a", f"{parameter}={SNAPSHOT}&{query}") == "key2"
    assert signed_by("data/a", query) is None


@pytest.mark.parametrize("version", OTHER_VERSIONS)
def test_file_and_share_sas_of_the_library_are_verified(version: str) -> None:
    made = FileSharedAccessSignature("models", KEY2)
    made.x_ms_version = version
    assert signed_by("docs/in/a.txt", made.generate_file("docs", "in", "a.txt", **FULL), "file") == "key2"
    assert signed_by("docs/in/a.txt", made.generate_share("docs", **FULL), "file") == "key2"


@pytest.mark.parametrize("version", OTHER_VERSIONS)
@pytest.mark.parametrize("fields", [COMMON, {"policy_id": "partners ü/+"}], ids=["ad hoc", "policy"])
def test_queue_sas_of_the_library_is_verified(version: str, fields: dict[str, Any]) -> None:
    made = QueueSharedAccessSignature("models", KEY2)
    made.x_ms_version = version
    assert signed_by("jobs/messages", made.generate_queue("jobs", **fields), "queue") == "key2"


@pytest.mark.parametrize(
    "fields", [{}, {"start_pk": "a", "start_rk": "1", "end_pk": "m", "end_rk": "9"}], ids=["whole", "range"]
)
def test_table_sas_of_the_library_is_verified(fields: dict[str, Any]) -> None:
    query = generate_table_sas(
        AzureNamedKeyCredential("models", KEY2), "Rows", permission="r", start=START, expiry=END, **fields
    )
    assert signed_by("Rows(PartitionKey='p',RowKey='1')", query, "table") == "key2"


@pytest.mark.parametrize("service", ["blob", "queue", "table", "file"])
@pytest.mark.parametrize("scope", [{}, {"encryption_scope": "scope-1"}], ids=["", "scope"])
def test_account_sas_of_the_blob_library_is_verified_on_every_service(service: str, scope: dict[str, Any]) -> None:
    query = generate_account_sas(
        "models", KEY2, "sco", "rwdlacup", END, start=START, services="bqtf", protocol="https", **scope
    )
    assert signed_by("data/a", query, service) == "key2"


@pytest.mark.parametrize(
    ("service", "generate"), [("queue", generate_queue_account_sas), ("file", generate_file_account_sas)]
)
def test_account_sas_of_the_other_libraries_is_verified(service: str, generate: Any) -> None:
    assert signed_by("data/a", generate("models", KEY2, "sco", "rwdl", END, start=START), service) == "key2"


def test_account_sas_of_the_table_library_is_verified() -> None:
    credential = AzureNamedKeyCredential("models", KEY2)
    query = generate_table_account_sas(credential, "sco", "rl", END, start=START)  # type: ignore[arg-type]
    assert signed_by("Rows", query, "table") == "key2"


# Older versions, as "Create a service SAS" and "Create an account SAS" spell them out

HEADER_LINES = "no-cache\nfile\ngzip\nen\ntext/plain"
HEADER_FIELDS = "rscc=no-cache&rscd=file&rsce=gzip&rscl=en&rsct=text/plain"


@pytest.mark.parametrize(
    ("service", "path", "fields", "text"),
    [
        ("blob", "data/a", "sr=b&sp=r&st={S}&se={E}&si=p", "r\n{S}\n{E}\n/models/data/a\np"),
        (
            "blob",
            "data/a",
            "sv=2012-02-12&sr=b&sp=r&st={S}&se={E}&si=p",
            "r\n{S}\n{E}\n/models/data/a\np\n2012-02-12",
        ),
        (
            "blob",
            "data/a",
            f"sv=2013-08-15&sr=b&sp=r&st={{S}}&se={{E}}&si=p&{HEADER_FIELDS}",
            f"r\n{{S}}\n{{E}}\n/models/data/a\np\n2013-08-15\n{HEADER_LINES}",
        ),
        (
            "blob",
            "data/a",
            f"sv=2015-02-21&sr=b&sp=r&st={{S}}&se={{E}}&si=p&{HEADER_FIELDS}",
            f"r\n{{S}}\n{{E}}\n/blob/models/data/a\np\n2015-02-21\n{HEADER_LINES}",
        ),
        (
            "blob",
            "data/a",
            f"sv=2015-04-05&sr=c&sp=r&st={{S}}&se={{E}}&si=p&sip=10.0.0.1&spr=https&{HEADER_FIELDS}",
            f"r\n{{S}}\n{{E}}\n/blob/models/data\np\n10.0.0.1\nhttps\n2015-04-05\n{HEADER_LINES}",
        ),
        (
            "blob",
            "data/a",
            f"sv=2018-11-09&sr=bs&snapshot={{T}}&sp=r&st={{S}}&se={{E}}&si=p&sip=10.0.0.1&spr=https&{HEADER_FIELDS}",
            f"r\n{{S}}\n{{E}}\n/blob/models/data/a\np\n10.0.0.1\nhttps\n2018-11-09\nbs\n{{T}}\n{HEADER_LINES}",
        ),
        (
            "file",
            "docs/a",
            f"sv=2015-02-21&sr=f&sp=r&st={{S}}&se={{E}}&si=p&{HEADER_FIELDS}",
            f"r\n{{S}}\n{{E}}\n/file/models/docs/a\np\n2015-02-21\n{HEADER_LINES}",
        ),
        ("queue", "jobs", "sv=2012-02-12&sp=r&st={S}&se={E}&si=p", "r\n{S}\n{E}\n/models/jobs\np\n2012-02-12"),
        (
            "table",
            "Rows()",
            "sv=2012-02-12&tn=Rows&spk=a&srk=b&epk=c&erk=d&sp=r&st={S}&se={E}&si=p",
            "r\n{S}\n{E}\n/models/rows\np\n2012-02-12\na\nb\nc\nd",
        ),
        (
            "blob",
            "",
            "sv=2015-04-05&ss=b&srt=o&sp=r&st={S}&se={E}&sip=10.0.0.1&spr=https",
            "models\nr\nb\no\n{S}\n{E}\n10.0.0.1\nhttps\n2015-04-05\n",
        ),
        (
            "blob",
            "",
            "sv=2020-12-06&ss=b&srt=o&sp=r&st={S}&se={E}&sip=10.0.0.1&spr=https&ses=x",
            "models\nr\nb\no\n{S}\n{E}\n10.0.0.1\nhttps\n2020-12-06\nx\n",
        ),
    ],
)
def test_string_to_sign_of_a_version_is_the_documented_one(service: str, path: str, fields: str, text: str) -> None:
    values = {"S": "2026-01-02", "E": "2030-01-01", "T": SNAPSHOT}
    fields, text = fields.format(**values), text.format(**values)
    signature = sign(text, KEY2).replace("+", "%2B")
    assert signed_by(path, f"{fields}&sig={signature}", service) == "key2"


@pytest.mark.parametrize("version", ["2015-04-05", "2018-11-09"])
def test_queue_token_signs_no_encryption_scope_and_no_headers(version: str) -> None:
    text = f"r\n\n2030-01-01\n/queue/models/jobs\n\n\n\n{version}"
    query = f"sv={version}&sp=r&se=2030-01-01&sig={sign(text, KEY2).replace('+', '%2B')}"
    assert signed_by("jobs", f"{query}&ses=scope&rscc=no-cache", "queue") == "key2"


@pytest.mark.parametrize("change", [("sp=r", "sp=rw"), ("se=2030", "se=2031"), ("sip=10.0.0.1", "sip=10.0.0.0")])
def test_changed_field_is_noticed(change: tuple[str, str]) -> None:
    query = blob_sas("2026-10-06").generate_blob("data", "a", **COMMON)
    assert change[0] in query
    assert signed_by("data/a", query.replace(*change)) is None


# User delegation SAS


def user_key(service: str, version: str) -> UserDelegationKey:
    """Return a new key for `service`, which the account knows."""
    issued = DelegationKey(
        "oid", "tid", "2026-01-01", "2030-01-01", service, version, new_storage_key(), issued_at=START
    )
    ACCOUNT.delegation_keys[:] = [issued]
    key = UserDelegationKey()
    key.signed_oid, key.signed_tid, key.value = issued.object_id, issued.tenant_id, issued.value
    key.signed_start, key.signed_expiry = issued.start, issued.expiry
    key.signed_service, key.signed_version = issued.service, issued.version
    key.signed_delegated_user_tid = None
    return key


@pytest.mark.parametrize("version", ["2026-04-06", "2026-10-06"])
@pytest.mark.parametrize("kind", ["b", "c", "d"])
def test_user_delegation_sas_of_the_blob_library_is_verified(version: str, kind: str) -> None:
    made = blob_sas(version, user_key("b", version))
    agent = {"agent_object_id": "agent", "correlation_id": "correlation"}
    match kind:
        case "b":
            query = made.generate_blob("data", "in/a", **FULL, **agent, encryption_scope="scope-1")
        case "c":
            query = made.generate_container("data", **FULL, **agent)
        case _:
            query = made.generate_blob("data", "in", is_directory=True, sdd=1, **FULL)
    token = token_of("data/in/a", query)
    assert (token.kind, delegation_key(token, ACCOUNT)) == (Kind.DELEGATION, ACCOUNT.delegation_keys[0])


@pytest.mark.parametrize(
    ("version", "middle"),
    [
        ("2018-11-09", "\n\n\n2018-11-09\nb\n"),
        ("2020-02-10", "agent\n\ncorrelation\n\n\n2020-02-10\nb\n"),
        ("2020-12-06", "agent\n\ncorrelation\n\n\n2020-12-06\nb\n\n"),
        ("2025-07-05", "agent\n\ncorrelation\n\n\n\n\n2025-07-05\nb\n\n"),
    ],
)
def test_user_delegation_sas_of_an_older_version_is_the_documented_one(version: str, middle: str) -> None:
    key = user_key("b", version)
    text = f"r\n\n2030-01-01\n/blob/models/data/a\noid\ntid\n2026-01-01\n2030-01-01\nb\n{version}\n"
    text += middle.removeprefix("\n") if version == "2018-11-09" else middle
    text += "\n\n\n\n\n"
    agent = "" if version == "2018-11-09" else "&saoid=agent&scid=correlation"
    fields = f"skoid=oid&sktid=tid&skt=2026-01-01&ske=2030-01-01&sks=b&skv={version}{agent}"
    signature = sign(text, str(key.value)).replace("+", "%2B")
    query = f"sv={version}&sr=b&sp=r&se=2030-01-01&{fields}&sig={signature}"
    assert delegation_key(token_of("data/a", query), ACCOUNT) is not None


@pytest.mark.parametrize("version", ["2025-07-05", "2026-10-06"])
def test_user_delegation_sas_of_the_queue_library_is_verified(version: str) -> None:
    made = QueueSharedAccessSignature("models", user_delegation_key=user_key("q", version))
    made.x_ms_version = version
    query = made.generate_queue("jobs", **COMMON)
    assert delegation_key(token_of("jobs", query, service="queue"), ACCOUNT) is not None


@pytest.mark.parametrize("version", ["2025-07-05", "2026-10-06"])
def test_user_delegation_sas_of_the_file_library_is_verified(version: str) -> None:
    made = FileSharedAccessSignature("models", user_delegation_key=user_key("f", version))
    made.x_ms_version = version
    query = made.generate_file("docs", "in", "a.txt", **FULL)
    assert delegation_key(token_of("docs/in/a.txt", query, service="file"), ACCOUNT) is not None


def test_user_delegation_sas_of_another_key_is_not_accepted() -> None:
    query = blob_sas("2026-10-06", user_key("b", "2026-10-06")).generate_blob("data", "a", **COMMON)
    user_key("b", "2026-10-06")
    assert delegation_key(token_of("data/a", query), ACCOUNT) is None
