"""URLs of the storage logs: each client's token is verified without its signature, and nothing else is.

A published line of a real account (Microsoft Learn, "Azure Blob Storage monitoring data reference", sample log) has
the port in `uri`, and `sig=XXXXX`.
"""

from datetime import UTC, datetime
from urllib.parse import parse_qs, quote

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import generate_table_sas
from azure.storage.blob import generate_account_sas, generate_blob_sas, generate_container_sas
from azure.storage.fileshare import generate_file_sas, generate_share_sas
from azure.storage.queue import generate_queue_sas
from hypothesis import given
from hypothesis import strategies as st

from shared.sas import Kind, credentials_of_logged_url, signature_sha256, verify

ACCOUNT = "robustmodels"
KEYS = {"key1": "a2V5" * 22, "key2": "c2Vj" * 22}
END = datetime(2051, 10, 6, tzinfo=UTC)
DIGEST = "ab" * 32


def logged(service: str, path: str, token: str, *, more: str = "") -> tuple[str, str]:
    """The URL of a request as the log has it, and the hash of its signature."""
    [signature] = parse_qs(token)["sig"]
    masked = "&".join("sig=XXXXX" if pair.startswith("sig=") else pair for pair in token.split("&"))
    return f"https://{ACCOUNT}.{service}.core.windows.net:443/{path}?{masked}{more}", signature_sha256(signature)


def signer(url: str, digest: str) -> str | None:
    """The name of the key that signed a reading of the URL."""
    readings = credentials_of_logged_url(url, account=ACCOUNT, signature_sha256=digest)
    verified = (verify(each, account=ACCOUNT, keys=KEYS).key for each in readings)
    return next((name for name in verified if name is not None), None)


TOKENS = {
    "account": (
        *("blob", "models/a.ckpt"),
        generate_account_sas(ACCOUNT, KEYS["key2"], resource_types="sco", permission="rwdl", expiry=END),
    ),
    "container": (
        *("blob", "models/2023/a%20b.ckpt"),
        generate_container_sas(ACCOUNT, "models", account_key=KEYS["key2"], permission="rl", expiry=END),
    ),
    "blob": (
        *("blob", "models/r%C3%A9sum%C3%A9/50%25.txt"),
        generate_blob_sas(ACCOUNT, "models", "résumé/50%.txt", account_key=KEYS["key2"], permission="r", expiry=END),
    ),
    "policy": (
        *("blob", "models/a.ckpt"),
        generate_container_sas(ACCOUNT, "models", account_key=KEYS["key2"], policy_id="our partners"),
    ),
    "queue": (
        *("queue", "jobs/messages"),
        generate_queue_sas(ACCOUNT, "jobs", KEYS["key2"], permission="p", expiry=END),
    ),
    "table": (
        *("table", "Results(PartitionKey='a',RowKey='b')"),
        generate_table_sas(AzureNamedKeyCredential(ACCOUNT, KEYS["key2"]), "Results", permission="r", expiry=END),
    ),
    "share": (
        *("file", "exports/a.csv"),
        generate_share_sas(ACCOUNT, "exports", KEYS["key2"], permission="rl", expiry=END),
    ),
    "file": (
        *("file", "exports/2023/a.csv"),
        generate_file_sas(ACCOUNT, "exports", ["2023", "a.csv"], KEYS["key2"], permission="r", expiry=END),
    ),
}


@pytest.mark.parametrize("name", TOKENS)
def test_token_of_each_service_is_verified_without_its_signature(name: str) -> None:
    url, digest = logged(*TOKENS[name])

    assert signer(url, digest) == "key2"
    assert signer(url, DIGEST) is None


def test_parameters_of_the_operation_are_none_of_the_token() -> None:
    url, digest = logged(*TOKENS["container"], more="&restype=container&comp=list&prefix=2023&timeout=90")

    assert signer(url, digest) == "key2"


def test_first_of_two_parameters_counts() -> None:
    url, digest = logged(*TOKENS["container"], more="&sp=racwdl&flag")

    assert signer(url, digest) == "key2"


def test_path_that_the_client_did_not_encode_is_read_as_it_stands() -> None:
    token = generate_blob_sas(ACCOUNT, "models", "50%25.txt", account_key=KEYS["key1"], permission="r", expiry=END)

    assert signer(*logged("blob", "models/50%25.txt", token)) == "key1"


def test_token_on_a_custom_domain_is_that_of_the_account_whose_log_it_is() -> None:
    url, digest = logged(*TOKENS["container"])
    url = url.replace(f"{ACCOUNT}.blob.core.windows.net:443", "cdn.contoso.com")

    assert signer(url, digest) == "key2"


def test_user_delegation_sas_is_recognized_by_its_parameters() -> None:
    url = (
        f"https://{ACCOUNT}.blob.core.windows.net:443/models/a?sv=2020-12-06&sr=c&sp=r&se=2051-10-06&skoid=1&sktid=2"
        "&skt=2023-01-01&ske=2023-01-02&sks=b&skv=2020-12-06&sig=XXXXX"
    )

    [found] = credentials_of_logged_url(url, account=ACCOUNT, signature_sha256=DIGEST)

    assert found.kind is Kind.USER_DELEGATION_SAS


@pytest.mark.parametrize(
    "url",
    [
        "",
        "models/a?sv=2020-12-06&sr=c&sp=r&se=2051-10-06",
        "https://<script>/models?sv=2020-12-06&sr=c&sp=r&se=2051-10-06",
        "https://others.blob.core.windows.net/models?sv=2020-12-06&sr=c&sp=r&se=2051-10-06",
        f"https://{ACCOUNT}.blob.core.windows.net/models?restype=container&comp=list",
        f"https://{ACCOUNT}.blob.core.windows.net/models?sv=1.0&sr=c&sp=r",
        f"https://{ACCOUNT}.blob.core.windows.net/models?sv=2020-12-06&sr=c&sp=r&se=2051-10-06%0A1",
        f"https://{ACCOUNT}.blob.core.windows.net/%0A{'%0A' * 3}?sv=2020-12-06&sr=c&sp=r&se={'9' * 5000}",
    ],
)
def test_what_is_no_token_of_the_account_has_no_reading(url: str) -> None:
    assert credentials_of_logged_url(url, account=ACCOUNT, signature_sha256=DIGEST) == ()


def test_line_feed_in_the_path_is_not_read() -> None:
    url, digest = logged("blob", "models/a%0Ab", TOKENS["container"][2])

    readings = credentials_of_logged_url(url, account=ACCOUNT, signature_sha256=digest)

    assert all("\n" not in (each.path or "") for each in readings)


@given(st.text(max_size=300), st.dictionaries(st.sampled_from(["sv", "sr", "sp", "se", "si", "tn", "ss"]), st.text()))
def test_no_text_is_an_error(path: str, parameters: dict[str, str]) -> None:
    query = "&".join(f"{name}={quote(value)}" for name, value in parameters.items())

    readings = credentials_of_logged_url(
        f"https://{ACCOUNT}.blob.core.windows.net/{path}?{query}", account=ACCOUNT, signature_sha256=DIGEST
    )

    assert all(each.signature_sha256 == DIGEST for each in readings)
