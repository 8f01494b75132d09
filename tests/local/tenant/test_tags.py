import pytest

from local.tenant import tags


@pytest.mark.parametrize("good", [{}, {"sasquash-owner": ""}, {"a" * 128: "x" * 256}, {"größe": "Zürich"}])
def test_valid_tags_are_returned(good: dict[str, str]) -> None:
    assert tags.valid(good) == good


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (None, "InvalidRequestContent"),
        ({"a": 1}, "InvalidRequestContent"),
        ({"Owner": "a", "owner": "b"}, "InvalidRequestContent"),
        ({str(n): "" for n in range(51)}, "TooManyTags"),
        ({"": "x"}, "InvalidTagNameCharacters"),
        ({"a" * 129: "x"}, "InvalidTagNameCharacters"),
        *(({f"a{character}": "x"}, "InvalidTagNameCharacters") for character in "<>%&\\?/\n\ud800"),
        ({"a": "x" * 257}, "InvalidTagValueLength"),
        ({"a": "x\x00"}, "InvalidTagValue"),
        ({"a": "\ud800"}, "InvalidTagValue"),
    ],
)
def test_invalid_tags_are_refused_with_a_code(bad: object, code: str) -> None:
    with pytest.raises(tags.InvalidTags) as refused:
        tags.valid(bad)
    assert refused.value.code == code
