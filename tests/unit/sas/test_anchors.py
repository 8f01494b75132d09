"""Where a text is read: at its anchors, and around each as far as needed."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sas import extract
from shared.sas.anchors import Anchors, has_run, is_clean
from tests.support.strings_to_sign import ACCOUNT, HOST, KEYS, container_url, only

URL = container_url()
TOKEN = URL.partition("?")[2]
KEY = base64.b64encode(hashlib.sha512(b"key").digest()).decode()


def starts(text: str) -> tuple[int, ...]:
    return Anchors.in_text(text).starts


@pytest.mark.parametrize(
    "text",
    [
        "import os\n" * 100,
        hashlib.sha512(b"x").hexdigest(),
        "/usr/lib/python/dist-packages/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        f'"integrity": "sha512-{KEY}"',
        f'"integrity": "sha512-{KEY[:86]}"',
        "design=" + "Ab3" * 20,
        "sig = compute(signature)",
        base64.b64encode(hashlib.sha512(b"image").digest() * 9).decode(),
        base64.b64encode(base64.b64encode(base64.b64encode(base64.b64encode(b"nothing " * 20)))).decode(),
    ],
)
def test_text_without_a_credential_has_no_anchor(text: str) -> None:
    assert starts(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        f'"{KEY[:43]}" + "{KEY[43:85]}"',
        f'"{KEY[:43]}" + "{KEY[42:]}"',
        f'"{KEY[:43]}", "{KEY[43:]}"',
        f'"{KEY[:43]}"' + "\n" * 100 + f'"{KEY[43:]}"',
        f'"{KEY[:43]} + {KEY[43:]}',
        '"' + '" + "'.join(KEY) + '"',
    ],
)
def test_literals_that_are_no_key_together_have_no_anchor(text: str) -> None:
    assert starts(text) == ()


@pytest.mark.parametrize(
    "text", [f'"{KEY[:43]}" +\n "{KEY[43:]}"', f'"{KEY[:3]}" + "{KEY[3:]}"', f'"{KEY[:80]}"\n"{KEY[80:]}"']
)
def test_key_in_literals_is_one_anchor(text: str) -> None:
    assert starts(text) == (1,)
    assert not is_clean(text.encode(), holds_other=lambda _: False)


@pytest.mark.parametrize("text", [URL, f"x {KEY}", TOKEN.replace("sig", "s\nig"), TOKEN.replace("=", "%3D")])
def test_credential_is_one_anchor(text: str) -> None:
    assert len(starts(text)) == 1


def test_lines_of_base64_are_one_anchor_if_they_hold_a_credential() -> None:
    assert len(starts(base64.encodebytes(f"See {URL}\n".encode()).decode())) == 1


@given(st.text(max_size=60), st.text(max_size=60))
def test_credential_is_an_anchor_wherever_it_stands(before: str, behind: str) -> None:
    assert Anchors.in_text(f"{before}\n{URL}\n{behind}").starts


def test_run_has_base64_and_its_escapes() -> None:
    assert has_run("a%2Bb", 5)
    assert not has_run("a-b_c", 2)


@given(
    st.text(max_size=60), st.sampled_from([URL, KEY, TOKEN, "sig=" + KEY[:20], KEY[:50], "sig"]), st.text(max_size=60)
)
def test_text_is_clean_if_it_has_no_anchor(before: str, middle: str, behind: str) -> None:
    text = f"{before}{middle}{behind}"

    assert is_clean(text.encode(errors="replace"), holds_other=lambda _: False) is not bool(starts(text))


@pytest.mark.parametrize("holds_other", [True, False])
def test_text_with_another_run_is_clean_if_it_is_of_no_other_service(holds_other: bool) -> None:
    run = f'"integrity": "sha512-{KEY}"'.encode()

    assert is_clean(run, holds_other=lambda _: holds_other) is not holds_other


# windows


def test_account_is_found_as_far_away_as_a_token_may_be() -> None:
    assert only(f'account_name = "{ACCOUNT}"\n{"# x\n" * 900}sas = "{TOKEN}"').account == ACCOUNT
    assert only(f'account_name = "{ACCOUNT}"\n{"# x\n" * 1200}sas = "{TOKEN}"').account is None


@pytest.mark.parametrize("between", [" ", "x", "&", ",", "\n"])
def test_long_line_of_tokens_is_read_without_cut_names(between: str) -> None:
    for length in range(60):  # so that a window begins at any of its characters
        found = extract(between.join([URL.replace("?", f"/{'x' * length}?")] * 120))

        assert {(each.host, each.container) for each in found} == {(HOST, "models")}


def test_token_whose_signature_comes_first_is_read_to_its_end() -> None:
    sig = TOKEN.partition("&sig=")[2]
    url = f"https://{HOST}/models?sig={sig}&sv=2022-11-02&sr=c&rscd={'x' * 3000}&sp=r&se=2030-01-01"

    assert only(f"{url}").permissions == only(f"{url} {'z ' * 3000}").permissions == "r"


def test_token_without_its_address_and_with_it_are_one_leak_however_far_apart() -> None:
    [found] = extract(f"sas = {TOKEN}\n{'# x\n' * 3000}{URL}\n")

    assert found.host == HOST


def test_key_whose_account_is_far_is_found_there() -> None:
    assert (
        only(f"AZURE_STORAGE_ACCOUNT={ACCOUNT}\n{'# x\n' * 700}AZURE_STORAGE_KEY={KEYS['key1']}").account == ACCOUNT
    )


def test_zero_bytes_of_utf_16_are_no_part_of_a_text() -> None:
    assert extract("\0".join(URL)) == extract(URL)
