"""The secret-free credential keeps what is needed, nothing that is usable, and believes nobody."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sas import Credential, InvalidCredential, Kind, ResourceKind, Service, extract
from tests.support.strings_to_sign import (
    ACCOUNT,
    CONTAINER_SAS,
    HOST,
    KEYS,
    OTHER_KEYS,
    container_url,
    only,
    query,
    signature,
)

DIGEST = "a" * 64
WIRE = {
    "kind": "service_sas",
    "host": HOST,
    "path": "models",
    "parameters": CONTAINER_SAS,
    "signature_sha256": DIGEST,
}
KEY_WIRE = {"kind": "account_key", "host": HOST, "path": None, "parameters": {}, "key_sha256": DIGEST}


@pytest.mark.parametrize("wire", [WIRE, KEY_WIRE])
def test_wire_form_survives_a_round_trip(wire: dict[str, object]) -> None:
    assert Credential.from_json(json.loads(json.dumps(wire))).to_json() == wire


def test_what_is_extracted_survives_a_round_trip() -> None:
    credential = only(container_url())
    assert Credential.from_json(json.loads(json.dumps(credential.to_json()))) == credential


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "sas"}, "kind"),
        ({"kind": None}, "kind"),
        ({"kind": ["account_sas"]}, "kind"),
        ({"kind": "account_sas"}, "kind"),
        ({"kind": "account_key"}, "key_sha256"),
        ({"host": "EVIL.example"}, "host"),
        ({"host": "evil.example/path"}, "host"),
        ({"host": 7}, "host"),
        ({"host": "x.table.cosmos.azure.com"}, "kind"),
        ({"path": ""}, "path"),
        ({"path": "a\nb"}, "path"),
        ({"path": "\ud800"}, "path"),
        ({"path": "x" * 5000}, "path"),
        ({"path": ["x"]}, "path"),
        ({"parameters": None}, "parameters"),
        ({"parameters": [["sv", "2022-11-02"]]}, "parameters"),
        ({"parameters": CONTAINER_SAS | {"sig": "secret"}}, "parameters"),
        ({"parameters": CONTAINER_SAS | {"comp": "list"}}, "parameters"),
        ({"parameters": CONTAINER_SAS | {"sp": 7}}, "parameters"),
        ({"parameters": CONTAINER_SAS | {"sp": "r\nw"}}, "parameters"),
        ({"parameters": CONTAINER_SAS | {"rscd": "x" * 5000}}, "parameters"),
        ({"parameters": CONTAINER_SAS | dict.fromkeys(("rscc", "rscd", "rsce"), "x" * 3000)}, "parameters"),
        ({"parameters": {}}, "kind"),
        ({"signature_sha256": None}, "signature_sha256"),
        ({"signature_sha256": DIGEST.upper()}, "signature_sha256"),
        ({"signature_sha256": 7}, "signature_sha256"),
        ({"key_sha256": DIGEST}, "signature_sha256"),
        ({"sig": "secret"}, "credential"),
    ],
)
def test_wire_form_that_is_wrong_is_refused_by_the_name_of_its_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidCredential, match=f"^{field}: "):
        Credential.from_json(WIRE | change)


@pytest.mark.parametrize("data", [None, [], "x", 7])
def test_what_is_no_object_is_refused(data: object) -> None:
    with pytest.raises(InvalidCredential):
        Credential.from_json(data)


def test_refusal_repeats_nothing() -> None:
    with pytest.raises(InvalidCredential) as refused:
        Credential.from_json(WIRE | {"parameters": CONTAINER_SAS | {"sig": "very-secret"}})
    assert "very-secret" not in f"{refused.value}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)


@given(st.dictionaries(st.sampled_from([*WIRE, "key_sha256"]), JSON | st.sampled_from([*WIRE.values()])) | JSON)
def test_hostile_data_is_a_credential_or_refused(data: object) -> None:
    try:
        credential = Credential.from_json(data)
    except InvalidCredential:
        return
    assert Credential.from_json(credential.to_json()) == credential


@pytest.mark.parametrize("text", [container_url(), f"AccountName={ACCOUNT};AccountKey={KEYS['key2']}"])
def test_credential_has_no_usable_secret(text: str) -> None:
    credential = only(text)
    sig = text.partition("sig=")[2]
    assert (
        sig or KEYS["key2"]
    ) not in f"{credential!r} {credential.to_json()} {credential.fingerprint} {credential.c3id}"


def test_unordered_parameters_are_refused() -> None:
    credential = only(container_url())
    with pytest.raises(InvalidCredential):
        replace(credential, parameters=tuple(reversed(credential.parameters)))


def test_properties_of_a_service_token() -> None:
    parameters = {
        "sv": "2022-11-02",
        "st": "2020-01-01",
        "se": "2030-01-01T00:00:00Z",
        "sp": "rl",
        "sip": "1.2.3.4",
        "spr": "https",
        "sr": "d",
        "sdd": "1",
    }
    credential = only(
        f"https://{ACCOUNT}-secondary.dfs.core.windows.net/models/a/b?{query(parameters, signature('x'))}"
    )
    assert credential.account == ACCOUNT
    assert credential.secondary
    assert (credential.service, credential.services) == (Service.BLOB, frozenset({Service.BLOB}))
    assert (credential.resource_kind, credential.container) == (ResourceKind.DIRECTORY, "models")
    assert (credential.resource_path, credential.path) == ("a", "models/a/b")
    assert (credential.policy, credential.permissions, credential.version) == (None, "rl", "2022-11-02")
    assert (credential.protocols, credential.ip_range, credential.resource_types) == ("https", "1.2.3.4", None)
    assert credential.starts == datetime(2020, 1, 1, tzinfo=UTC)
    assert credential.expires == datetime(2030, 1, 1, tzinfo=UTC)


def test_properties_of_an_account_token() -> None:
    credential = only(query({"sv": "2022-11-02", "ss": "bq", "srt": "sco", "sp": "r"}, signature("x")))
    assert (credential.account, credential.service) == (None, Service.MULTIPLE)
    assert credential.services == {Service.BLOB, Service.QUEUE}
    assert credential.resource_types == "sco"


def test_policy_that_the_kind_knows_nothing_of_does_not_count() -> None:
    account_sas = {"sv": "2022-11-02", "ss": "b", "srt": "o", "sp": "r", "si": "p"}
    assert only(query(account_sas, signature("x"))).policy is None
    assert only(container_url(si="p")).policy == "p"


def test_restrictions_that_the_version_does_not_know_do_not_count() -> None:
    old = only(container_url(sv="2014-02-14", sip="1.2.3.4", spr="https"))
    assert (old.ip_range, old.protocols) == (None, None)


@pytest.mark.parametrize(
    ("parameters", "end"),
    [
        ({}, datetime(2030, 1, 1, tzinfo=UTC)),
        ({"skoid": "o", "sktid": "t", "ske": "2029-12-31T00:00:00Z"}, datetime(2029, 12, 31, tzinfo=UTC)),
        ({"skoid": "o", "sktid": "t", "ske": "2030-01-02T00:00:00Z"}, datetime(2030, 1, 1, tzinfo=UTC)),
        ({"skoid": "o", "sktid": "t", "ske": "2029-12-31", "se": "soon"}, datetime(2029, 12, 31, tzinfo=UTC)),
        ({"ske": "2029-12-31T00:00:00Z"}, datetime(2030, 1, 1, tzinfo=UTC)),
        ({"se": "soon"}, None),
    ],
)
def test_token_expires_no_later_than_its_delegation_key(parameters: dict[str, str], end: datetime | None) -> None:
    assert only(container_url(**parameters)).ends == end


def test_properties_of_a_key() -> None:
    credential = only(f"AccountName={ACCOUNT};AccountKey={KEYS['key2']}")
    assert (credential.kind, credential.account, credential.host) == (Kind.ACCOUNT_KEY, ACCOUNT, HOST)
    assert (credential.service, len(credential.services)) == (None, 4)
    assert credential.resource_kind is ResourceKind.ACCOUNT


def test_fingerprint_depends_on_host_parameters_and_signature_but_not_on_the_path() -> None:
    texts = [
        container_url(),
        container_url().replace("/models?", "/models/other/blob?"),
        container_url().replace(HOST, f"{ACCOUNT}.dfs.core.windows.net"),
        container_url(sp="rw"),
        container_url().replace("sig=", "sig=A"),
    ]
    prints = [credential.fingerprint for text in texts for credential in extract(text)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_c3id_is_the_secrets_own() -> None:
    assert only(container_url()).c3id == only(container_url().partition("?")[2]).c3id


def test_two_keys_have_two_fingerprints() -> None:
    prints = {only(f"AccountName={ACCOUNT};AccountKey={keys['key1']}").fingerprint for keys in (KEYS, OTHER_KEYS)}
    assert len(prints) == 2
