"""What comes from outside is shown harmless."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.text import Code, Foreign, RichText, clean, defang, inert, utc
from tests.support.foreign_text import ATTACKS, attacks

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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[Approve](//evil.example)", "[Approve] (//evil.example)"),
        ("[Approve][1]", "[Approve] [1]"),
        ("mailto:eve@evil.example", "mailto[:]eve@evil.example"),
        ("JavaScript:alert(1)", "JavaScript[:]alert(1)"),
        ("ms-word:ofe|u|x", "ms-word[:]ofe|u|x"),
        ("all of the data: it is readable", "all of the data: it is readable"),
        ("metadata:x", "metadata:x"),
    ],
)
def test_clean_text_is_no_link_without_slashes_either(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize("invisible", list("\u034f\u115f\u3164\uffa0\ufe0f\u2800\u200d\u2066\U000e0100"))
def test_character_without_a_shape_is_a_space(invisible: str) -> None:
    """Unicode: Default_Ignorable_Code_Point. Python's isprintable() accepts some of them."""
    assert clean(f"a{invisible}b") == "a b"


def test_marks_are_not_stacked_over_other_lines() -> None:
    assert clean("e" + "\u0301" * 200) == "e" + "\u0301" * 4


@given(attacks())
@pytest.mark.parametrize("make", [clean, defang])
def test_cleaning_twice_is_the_same_as_once(make: Callable[[str], str], text: str) -> None:
    """A text is cleaned where it is stored and again where it is shown."""
    assert make(make(text)) == make(text)
    assert clean(make(text)) == make(text)


def test_foreign_text_is_harmless_wherever_it_is_formatted() -> None:
    assert f"Reported by {Foreign('`id` https://x')}." == "Reported by 'id' hxxps://x."
    assert repr(Foreign("`id`")) == "Foreign(\"'id'\")"


def test_foreign_text_can_t_push_out_what_follows() -> None:
    assert f"{Foreign('w' * 9000, limit=10)}. Do not open it." == "wwwwwwwww…. Do not open it."


@pytest.mark.parametrize("code", ["", "a`b", "a\nb", "a\ufe0fb", "a\u202eb", "a<b", "a>b", "x" * 2001])
def test_code_is_visible_and_without_markup(code: str) -> None:
    with pytest.raises(ValueError, match="visible characters"):
        Code(code)


def test_code_in_a_text_of_ours_is_mere_text() -> None:
    assert clean(f"run {Code('az login')}") == "run az login"


def test_text_has_its_code_between_backticks_and_no_other() -> None:
    text = RichText.of("Run `x`, then ", Code("az login"), ".")

    assert str(text) == inert(text) == "Run 'x', then `az login`."


def test_text_is_cleaned_across_the_seam_of_two_parts() -> None:
    assert str(RichText.of("http", "://evil.example ", "[x]", "(y)")) == "hxxp://evil.example [x] (y)"


def test_placeholders_of_a_text_never_become_code() -> None:
    text = RichText.of("Check {target}: ", Code("az login"), "").format(target="`curl x`")

    assert text == RichText.of("Check 'curl x': ", Code("az login"), "")


def test_text_that_was_not_made_here_is_cleaned_where_it_is_shown() -> None:
    """It may have been read from storage."""
    assert str(RichText(("`curl x`", Code("az login")))) == "'curl x'`az login`"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>x</b>", "\u2039b\u203ax\u2039/b\u203a"),
        ("{code}rm{code}", "\u2039code\u203arm\u2039code\u203a"),
        ("=cmd|'/c calc'!A0", "'=cmd|'/c calc'!A0"),
        ("-1", "'-1"),
        ("+1", "'+1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("a = b", "a = b"),
    ],
)
def test_inert_text_is_neither_markup_nor_a_formula(text: str, shown: str) -> None:
    """CommonMark 0.31.2, 6.6 "Raw HTML"; OWASP, "CSV Injection"."""
    assert inert(text) == shown


@pytest.mark.parametrize("text", ATTACKS)
@pytest.mark.parametrize("limit", [1, 2, 20, 200])
def test_inert_text_is_within_its_limit(text: str, limit: int) -> None:
    assert len(inert(text, limit=limit)) <= limit


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
