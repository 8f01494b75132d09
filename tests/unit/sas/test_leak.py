"""The token itself goes to those few who ask for it, as it can be sent once more, and shows nowhere."""

from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sas import Leak, extract, extract_leaks
from tests.support import samples
from tests.support.strings_to_sign import ACCOUNT, HOST, KEYS, container_url, query, signature

SIGNATURE = "".join(container_url().split("sig=")[1:])


def leak(text: str) -> Leak:
    (found,) = extract_leaks(text)
    return found


def test_token_can_be_sent_as_it_is() -> None:
    assert leak(container_url()).token == f"se=2030-01-01T00%3A00%3A00Z&sp=r&sr=c&sv=2022-11-02&sig={SIGNATURE}"


@pytest.mark.parametrize(
    "text",
    [
        container_url().replace("%3A", ":").replace("%2B", "+").replace("%2F", "/").replace("%3D", "="),
        container_url().replace("%", "%25"),
        container_url().replace("&", "&amp;"),
        f"BlobEndpoint=https://{HOST};SharedAccessSignature={container_url().partition('?')[2]}",
        f"{container_url()}&comp=list&restype=container",
    ],
)
def test_token_is_the_same_however_it_was_written(text: str) -> None:
    assert leak(text).token == leak(container_url()).token


@pytest.mark.parametrize(("resource", "name"), [("bs", "snapshot"), ("bv", "versionid")])
def test_token_has_the_time_that_its_signature_covers(resource: str, name: str) -> None:
    token = leak(f"{container_url(sr=resource)}&{name}=2024-05-01T10:11:03.1234567Z").token or ""
    assert f"&{name}=2024-05-01T10%3A11%3A03.1234567Z&" in token


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=40))
def test_any_value_is_encoded_so_that_it_reads_back(value: str) -> None:
    parameters = {"rscd": value, "se": "2030-01-01", "sp": "r", "sr": "b", "sv": "2022-11-02"}
    token = leak(f"https://{HOST}/models/b?{query(parameters, signature('x'))}").token or ""
    assert dict(parse_qsl(token, keep_blank_values=True)) == parameters | {"sig": signature("x")}


def test_key_has_no_token() -> None:
    assert leak(f"AccountName={ACCOUNT};AccountKey={KEYS['key1']}").token is None


def test_credentials_are_those_of_extract() -> None:
    text = f"AccountName={ACCOUNT};AccountKey={KEYS['key1']}\n{container_url()}\n{container_url(sp='rw')}"
    assert tuple(found.credential for found in extract_leaks(text)) == extract(text)


def test_leak_does_not_show_its_token() -> None:
    shown = repr(leak(container_url()))
    assert SIGNATURE not in shown
    assert signature("x") not in shown
    assert quote(SIGNATURE, safe="") not in shown


# other readings of one token


def test_token_at_several_addresses_of_a_host_is_one_leak_with_all_of_them() -> None:
    texts = [samples.blob_sas().replace("models/resnet.ckpt", path) for path in ("b/2", "a/1", "c/3")]
    (found,) = extract_leaks("\n".join(texts))

    assert [one.path for one in (found.credential, *found.others)] == ["b/2", "a/1", "c/3"]


def test_token_on_several_blobs_of_its_container_is_read_once() -> None:
    token = samples.policy_sas()
    (found,) = extract_leaks(f"{token}\n{token.replace('/models?', '/models/a?')}")

    assert found.others == ()


def test_token_at_another_host_is_another_leak() -> None:
    text = samples.blob_sas()

    assert len(extract_leaks(f"{text}\n{text.replace('robustmodels', 'othermodels')}")) == 2


def test_reading_that_another_view_of_the_text_completes_is_kept_beside_it() -> None:
    address, _, query = samples.blob_sas().partition("?")
    wrapped = f"{address}/long/\\\nfolder?{query}"
    (found,) = extract_leaks(wrapped)

    assert found.credential.path == "models/resnet.ckpt/long/folder"
    assert samples.leak(samples.blob_sas()).host == found.credential.host


def test_token_without_an_address_is_read_at_every_path_that_the_text_gives_its_account_nearest_first() -> None:
    address, _, query = samples.blob_sas().partition("?")
    links = [address.replace("models/resnet.ckpt", path) for path in ("far/away", "models/resnet.ckpt", "near/by")]
    (found,) = extract_leaks(f"{links[0]}\n{links[1]}\n{' ' * 99}\n{links[2]}\n{query}\n")

    assert [one.path for one in (found.credential, *found.others)] == [
        None,
        "near/by",
        "models/resnet.ckpt",
        "far/away",
    ]


def test_token_without_an_address_is_not_read_at_paths_of_another_service() -> None:
    address, _, query = samples.blob_sas().partition("?")
    text = f"{address}\n{address}2\n{address.replace('.blob.', '.file.')}3\n{query}\n"
    (found,) = extract_leaks(text)

    assert {one.path for one in found.others} == {"models/resnet.ckpt", "models/resnet.ckpt2"}


def test_as_many_readings_of_a_token_are_kept_as_a_finding_carries() -> None:
    texts = [samples.blob_sas().replace("models/resnet.ckpt", f"wrong/{number}") for number in range(200)]
    (found,) = extract_leaks("\n".join(texts))

    assert len(found.others) == 64
