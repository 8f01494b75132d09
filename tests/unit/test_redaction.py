import base64
import hashlib
import io
import logging
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import redaction
from shared.redaction import redact

SIGNATURE = base64.b64encode(hashlib.sha256(b"signature").digest()).decode()
KEY = base64.b64encode(hashlib.sha512(b"key").digest()).decode()
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"GET https://a.blob.core.windows.net/c?sv=2022-11-02&sig={quote(SIGNATURE, safe='')}&se=x", SIGNATURE),
        (f"GET https://a.blob.core.windows.net/c?sig={SIGNATURE}", SIGNATURE),
        (f"url%3Fsv%3D2022%26sig%3D{quote(quote(SIGNATURE, safe=''), safe='')}", SIGNATURE),
        (f'{{"sig": "{SIGNATURE}"}}', SIGNATURE),
        (f"{{'sig': '{SIGNATURE}'}}", SIGNATURE),
        (f"AccountName=a;AccountKey={KEY};EndpointSuffix=core.windows.net", KEY),
        (f"the key is {KEY}", KEY),
        (f"the key, encoded: {quote(KEY, safe='')}", KEY),
        (f"the key, twice encoded: {quote(quote(KEY, safe=''), safe='')}", KEY),
        (f"the key without its padding: {KEY}".rstrip("="), KEY.rstrip("=")),
        (f'"value": "{KEY}"', KEY),
        (f"https://paste.example/raw/{KEY}", KEY),
        (f"q=AccountName%3Da%3BAccountKey%3D{quote(KEY, safe='')}%3BEndpointSuffix", KEY),
        (f"https%3A%2F%2Fpaste.example%2F{quote(SIGNATURE, safe='')}", SIGNATURE),
        (f"a signature alone: {SIGNATURE}.", SIGNATURE),
        (f"Authorization: Bearer {TOKEN}", TOKEN),
        (f"token={TOKEN}", TOKEN),
        (f"BlobEndpoint=https://a/;SharedAccessSignature=sv=2022&sig={SIGNATURE}", SIGNATURE),
        (f"Authorization: SharedKey account:{SIGNATURE}", SIGNATURE),
    ],
)
def test_secret_is_redacted(text: str, secret: str) -> None:
    cleaned = redact(text)

    assert secret not in cleaned
    assert quote(secret, safe="") not in cleaned
    assert quote(quote(secret, safe=""), safe="") not in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "Regenerating key2 of robustmodels failed: 503 ServerBusy.",
        "fingerprint 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "/subscriptions/3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33/resourceGroups/ai/providers/Microsoft.Storage",
        "designed to assign = nothing",
        "signature: verified; Bearer token expected",
    ],
)
def test_other_text_is_not_redacted(text: str) -> None:
    assert redact(text) == text


@given(st.text(), st.binary(min_size=32, max_size=32), st.text())
def test_signature_is_redacted_in_any_context(before: str, raw: bytes, after: str) -> None:
    signature = base64.b64encode(raw).decode()

    assert signature not in redact(f"{before}&sig={signature}&{after}")


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    before = logging.getLogRecordFactory()
    written = io.StringIO()
    logger = logging.getLogger("tests.redaction")
    handler = logging.StreamHandler(written)
    logger.addHandler(handler)
    redaction.install()
    yield logger, written
    logger.removeHandler(handler)
    logging.setLogRecordFactory(before)


def test_log_record_is_redacted_with_its_arguments(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log

    logger.warning("calling %s", f"https://a.blob.core.windows.net/?sig={SIGNATURE}")

    assert written.getvalue() == "calling https://a.blob.core.windows.net/?sig=REDACTED\n"


def test_logged_traceback_is_redacted(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    try:
        int(f"https://a/?sig={SIGNATURE}")
    except ValueError:
        logger.exception("failed")

    assert "sig=REDACTED" in written.getvalue()
    assert SIGNATURE not in written.getvalue()


def test_sdks_do_not_log_their_requests(log: tuple[logging.Logger, io.StringIO]) -> None:
    assert not logging.getLogger("azure.core.pipeline.policies.http_logging_policy").isEnabledFor(logging.INFO)


# Long texts


@pytest.mark.parametrize("shown", [10, 43, 60, 85], ids=lambda n: f"{n} characters of the key are left")
def test_part_of_a_key_at_the_cut_is_left_out(shown: int) -> None:
    before = "x" * 40 + " "
    text = (before * (redaction.LONGEST // len(before) + 1))[: redaction.LONGEST - shown - 1] + " " + KEY

    assert KEY[: min(shown, 10)] not in redact(text)


def test_long_text_is_cut_before_it_is_searched() -> None:
    assert len(redact("a " * redaction.LONGEST)) < redaction.LONGEST + 40


def test_cut_text_says_how_long_it_was() -> None:
    assert redact("a " * redaction.LONGEST).endswith("… (131,072 characters)")


@given(st.integers(0, 3_000))
def test_no_part_of_a_secret_in_a_long_text_is_left(places: int) -> None:
    text = "- " * ((redaction.LONGEST - places) // 2) + f"AccountKey={quote(quote(KEY, safe=''), safe='')} " * 40

    assert KEY[:12] not in redact(text)
