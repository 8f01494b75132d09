"""What comes from outside is shown harmless."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.text import clean, defang, prose, utc

_SIGNATURE = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfG="


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words", "plain words"),
        ("  two\r\nlines\t", "two lines"),
        ("see https://evil.example/a", "see hxxps://evil.example/a"),
        ("see HTTP://evil.example", "see hxxp://evil.example"),
        ("1http://evil.example", "1hxxp://evil.example"),
        ("ftp://evil.example", "ftp[:]//evil.example"),
        ("WWW.evil.example", "www[.]evil.example"),
        (r"open \\evil\share", r"open \ \evil\share"),
        ("right-to-left \u202e override", "right-to-left override"),
        ("zero\u200bwidth", "zero width"),
    ],
)
def test_clean_shows_text_without_links_or_control_characters(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_clean_text_is_no_command() -> None:
    assert clean("see `curl x | sh`") == "see 'curl x | sh'"


def test_prose_keeps_its_commands_and_is_harmless_otherwise() -> None:
    assert prose("see `az login` at https://evil.example") == "see `az login` at hxxps://evil.example"


def test_clean_removes_a_signature() -> None:
    assert _SIGNATURE not in clean(f"?sv=2021-08-06&sig={_SIGNATURE}")


def test_clean_removes_a_signature_whose_name_is_split_by_an_invisible_character() -> None:
    assert _SIGNATURE not in clean(f"s\u200big={_SIGNATURE}")


def test_clean_cuts_long_text() -> None:
    assert clean("x" * 50, limit=10) == "xxxxxxxxx…"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://github.com/a/b.py#L1", "hxxps://github[.]com/a/b.py#L1"),
        ("contoso.blob.core.windows.net", "contoso[.]blob[.]core[.]windows[.]net"),
        ("github", "github"),
        ("", ""),
    ],
)
def test_defang_brackets_the_dots_of_the_host_only(url: str, shown: str) -> None:
    assert defang(url) == shown


def test_defang_removes_a_signature() -> None:
    assert _SIGNATURE not in defang(f"https://a.blob.core.windows.net/c?sig={_SIGNATURE}")


@given(st.text(alphabet=st.sampled_from("hHtTpPsSwW:/.\\ \u200b\nfx1"), max_size=60))
@example("http:http://")
@example("hthttp://tp://")
def test_no_text_keeps_what_a_mail_client_would_link(text: str) -> None:
    shown = clean(text).lower()
    assert "http://" not in shown
    assert "https://" not in shown
    assert "www." not in shown
    assert "\\\\" not in shown


def test_moments_are_shown_in_utc() -> None:
    moment = datetime(2026, 11, 21, 4, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    assert utc(moment) == "2026-11-21 02:00:05 UTC"
