"""Hashes by their published recipes."""

import hashlib

import pytest

from shared.sas import key_sha256, signature_sha256
from shared.sas.fingerprint import c3id, fingerprint


def test_signature_is_hashed_as_text() -> None:
    assert signature_sha256("ab+/=") == hashlib.sha256(b"ab+/=").hexdigest()


def test_key_is_hashed_as_bytes() -> None:
    assert key_sha256("AAEC") == hashlib.sha256(b"\x00\x01\x02").hexdigest()


@pytest.mark.parametrize("key", ["not base64!", "abc", "é"])
def test_what_is_no_key_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(ValueError, match="base64") as refused:
        key_sha256(key)
    assert key not in str(refused.value)


def test_c3id_is_15_bytes_in_base64() -> None:
    # microsoft/security-utilities: SHA-256 of the prefix and of the upper-case hex SHA-256 of the secret.
    digest = hashlib.sha256(b"Hello").hexdigest()
    assert c3id(digest) == c3id(digest.upper())
    assert len(c3id(digest)) == 20


@pytest.mark.parametrize(
    "change",
    [{"kind": "b"}, {"host": None}, {"host": "y"}, {"parameters": [("a", "1&b=2")]}, {"digest": "e"}],
)
def test_fingerprint_covers_every_part(change: dict[str, object]) -> None:
    parts: dict[str, object] = {"kind": "a", "host": "x", "parameters": [("b", "2"), ("a", "1")], "digest": "d"}
    assert fingerprint(**(parts | change)) != fingerprint(**parts)  # type: ignore[arg-type]


def test_order_of_parameters_does_not_matter() -> None:
    one, other = [("a", "1"), ("b", "2")], [("b", "2"), ("a", "1")]
    prints = {fingerprint(kind="a", host="x", parameters=parameters, digest="d") for parameters in (one, other)}
    assert len(prints) == 1
