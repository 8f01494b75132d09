"""What a text becomes, reading by reading."""

import base64

import pytest

from shared.sas.normalize import percent_decoded, views


@pytest.mark.parametrize(
    ("text", "decoded"),
    [("a+b%20c", "a+b c"), ("%E6%97%A5", "日"), ("%252F", "%2F"), ("100%", "100%"), ("%FF", "\ufffd"), ("", "")],
)
def test_percent_encoding_is_undone_once(text: str, decoded: str) -> None:
    assert percent_decoded(text) == decoded


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a&amp;amp;b", "a&b"),
        ("&quot;&#x3D;&#61;", '"=='),
        ("&copy=1&sect=2", "&copy=1&sect=2"),
        ("\\u0026\\\\u003d\\ud83d\\ude80", "&=🚀"),
        ("\\x26", "&"),
        ('\\"a\\/b\\\\\\"', '"a/b"'),
        ("a\\r\\nb", "a\nb"),
        ("^&`&", "&&"),
        ("plain", "plain"),
    ],
)
def test_first_reading_is_without_escapes(text: str, plain: str) -> None:
    assert next(views(text)) == plain


def test_plain_text_has_one_reading() -> None:
    assert list(views("nothing to undo")) == ["nothing to undo"]


@pytest.mark.parametrize(
    "text",
    [
        "x=abc\\\n   def",
        "x=abc=\ndef=3D",
        'x="abc" + "def"',
        'x="abc"\n  "def"',
        f"{'x' * 60}abc\n  def",
    ],
)
def test_later_reading_joins_lines(text: str) -> None:
    first, *later = views(text)
    assert "abcdef" not in first
    assert any("abcdef" in view for view in later)


def test_text_that_was_cut_inside_of_a_time_is_joined() -> None:
    assert 'x="2030-01-01T10:11"' in views('x="2030-01-01T10"\n  ":11"')


def test_lines_that_are_not_full_stay_apart() -> None:
    text = f"{'x' * 60}\n{'y' * 40}\nthanks"
    assert f"{'x' * 60}{'y' * 40}\nthanks" in views(text)


def test_line_that_is_shorter_than_two_of_one_width_ends_the_text() -> None:
    text = f"{'x' * 60}\n{'y' * 60}\n{'z' * 50}\nthanks"
    assert f"{'x' * 60}{'y' * 60}{'z' * 50}\nthanks" in views(text)


def test_setting_behind_a_full_line_stays_apart() -> None:
    text = f"url: >-\n  {'x' * 60}\n  {'y' * 60}\nother: 1"
    assert f"{'x' * 60}{'y' * 60}\nother: 1" in [view.partition("  ")[2] for view in views(text)]


def test_encodings_are_peeled_off_one_by_one() -> None:
    secret = "https://a.example/?sig=x".ljust(120, "x")
    encoded = base64.b64encode(base64.b64encode(secret.encode())).decode()
    assert secret in views(encoded)


def test_base64_that_hides_nothing_stays() -> None:
    encoded = base64.b64encode(b"nothing of interest " * 10).decode()
    assert list(views(encoded)) == [encoded]
