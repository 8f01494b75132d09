"""The lines of the storage logs about SAS: what is read of them, and that hostile text in them is not.

Formats: "Azure Blob Storage monitoring data reference" (identity/tokenHash) for AuthenticationHash; Azure Monitor
Logs reference, "StorageBlobLogs", for the columns.
"""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cloud import log_queries, sas_log
from shared.cloud.sas_log import SasLog
from tests.support.logged_tokens import account_token, container_token, digest_of, row
from tests.support.samples import NOW

TOKEN = account_token()


def test_row_is_read() -> None:
    found = sas_log.read([row(TOKEN)])

    [token] = found.tokens
    assert (token.account, token.signature_sha256, token.key_name) == ("robustmodels", digest_of(TOKEN), "key1")
    assert token.urls[0].startswith("https://robustmodels.blob.core.windows.net:443/models/a.ckpt?")
    assert (token.requests, token.accepted, token.last - token.first) == (10, 8, timedelta(days=8, hours=23))
    assert token.addresses == ("203.0.113.7", "2001:db8::7")
    assert (token.agents, token.operations) == (("curl/8.5",), ("GetBlob", "ListBlobs"))
    assert (found.unidentified, found.is_cut) == (0, False)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f"key1({'AB' * 32}),SasSignature({'CD' * 32})", "key1"),
        (f"key2({'ab' * 32}),SasSignature({'cd' * 32})", "key2"),
        (f"SasSignature({'cd' * 32})", None),
        (f"user-delegation({'00' * 32}),SasSignature({'cd' * 32})", None),
    ],
)
def test_hash_of_the_signature_is_read_in_each_form(text: str, key: str | None) -> None:
    [token] = sas_log.read([row(TOKEN, AuthenticationHash=text)]).tokens

    assert (token.signature_sha256, token.key_name) == ("cd" * 32, key)


@pytest.mark.parametrize(
    "changed",
    [
        {"AuthenticationHash": ""},
        {"AuthenticationHash": None},
        {"AuthenticationHash": f"key1({'AB' * 32})"},
        {"AuthenticationHash": f"key1({'AB' * 32}),SasSignature({'XY' * 32})"},
        {"AccountName": "evil'; StorageBlobLogs"},
        {"AccountName": 7},
        {"First": "yesterday"},
        {"Last": None},
    ],
)
def test_requests_of_a_row_that_identifies_no_token_are_counted(changed: dict[str, Any]) -> None:
    found = sas_log.read([row(TOKEN, **changed)])

    assert (found.tokens, found.unidentified) == ((), 10)


def test_lines_of_one_token_with_different_hashes_are_one_token() -> None:
    """After its key was regenerated, Azure can't name the key any more."""
    after = row(
        TOKEN,
        AuthenticationHash=f"SasSignature({digest_of(TOKEN)})",
        First=NOW - timedelta(hours=2),
        Last=NOW,
        Accepted=0,
        Requests=3,
        AcceptedUrls="[]",
        Addresses='["198.51.100.9"]',
    )

    [token] = sas_log.read([row(TOKEN), after]).tokens

    assert (token.requests, token.accepted, token.key_name) == (13, 8, "key1")
    assert (token.first, token.last) == (NOW - timedelta(days=9), NOW)
    assert token.addresses == ("203.0.113.7", "2001:db8::7", "198.51.100.9")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("203.0.113.7", ("203.0.113.7",)),
        ("2001:DB8::0007", ("2001:db8::7",)),
        ("[::1]", ("::1",)),
        ("<script>", ()),
        ("203.0.113.999", ()),
        ("", ()),
    ],
)
def test_only_addresses_are_addresses(written: str, read: tuple[str, ...]) -> None:
    [token] = sas_log.read([row(TOKEN, Addresses=json.dumps([written]))]).tokens

    assert token.addresses == read


def test_texts_of_clients_are_made_harmless_and_short() -> None:
    agents = ["\x1b[2Jcurl\n<b>", "see https://evil.example/?sig=" + "A" * 43 + "=", "x" * 5000]

    [token] = sas_log.read(
        [row(TOKEN, Agents=json.dumps(agents), Operations='["<img>", "GetBlob", "Get Blob"]')]
    ).tokens

    assert token.operations == ("GetBlob",)
    assert all(agent.isprintable() and len(agent) <= 120 and "https:" not in agent for agent in token.agents)
    assert "AAAA" not in "".join(token.agents)


def test_number_of_values_and_the_length_of_a_url_are_bounded() -> None:
    many = json.dumps([f"agent{number}" for number in range(500)])
    urls = json.dumps([f"https://x/{'a' * log_queries.LONGEST_URL}", "https://x/?y"])

    [token] = sas_log.read([row(TOKEN, Agents=many, AcceptedUrls=urls)]).tokens

    assert len(token.agents) == 20
    assert token.urls == ("https://x/?y",)


@pytest.mark.parametrize(
    ("resource", "known"),
    [
        ("/subscriptions/{s}/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/robustmodels", True),
        (
            "/subscriptions/{s}/resourcegroups/g/providers/microsoft.storage/storageaccounts/robustmodels"
            "/blobservices/default",
            True,
        ),
        ("/subscriptions/{s}/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/others", False),
        ("/subscriptions/{s}/../x/providers/Microsoft.Storage/storageAccounts/robustmodels", False),
        ("", False),
    ],
)
def test_resource_id_is_that_of_the_account_or_none(resource: str, known: bool) -> None:
    given_id = resource.replace("{s}", "3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33")

    [token] = sas_log.read([row(TOKEN, ResourceId=given_id)]).tokens

    assert token.resource_id == (given_id.removesuffix("/blobservices/default") if known else None)


def test_more_rows_than_a_query_names_say_so() -> None:
    rows = [row(container_token(days=number / 100)) for number in range(1, 3)]
    whole = sas_log.read(rows * (log_queries.MOST_TOKENS // 2))
    cut = sas_log.read([*rows * (log_queries.MOST_TOKENS // 2), row(TOKEN)])

    assert (whole.is_cut, len(whole.tokens)) == (False, 2)
    assert (cut.is_cut, len(cut.tokens)) == (True, 2)


@given(
    st.dictionaries(
        st.sampled_from(list(row(TOKEN))), st.none() | st.text() | st.lists(st.text() | st.integers() | st.none())
    )
)
def test_no_value_of_a_column_is_an_error(changed: dict[str, Any]) -> None:
    numbers = {"Requests": 1, "Accepted": 1}  # the service's own

    found = sas_log.read([row(TOKEN, **changed) | numbers])

    assert len(found.tokens) + found.unidentified == 1


async def test_workspace_is_named_by_a_guid() -> None:
    log = SasLog(None, clock=lambda: NOW)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="GUID"):
        await log.of_workspace("../subscriptions/x", days=30)
