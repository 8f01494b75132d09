import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.intake.authentication import check_github, check_password, check_webhook
from shared.api.problems import NotSigned
from shared.setting_parsers import webhook_key

# docs.github.com, "Validating webhook deliveries": testing the webhook payload validation.
GITHUB = {
    "secret": "It's a Secret to Everybody",
    "body": b"Hello, World!",
    "signature": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
}
# standardwebhooks.com: the vector of the specification's own libraries.
KEY = webhook_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
BODY = b'{"test": 2432232314}'
AT = datetime.fromtimestamp(1614265330, UTC)
SIGNED = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def basic(pair: str) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def test_example_of_github_is_valid() -> None:
    check_github({"x-hub-signature-256": GITHUB["signature"]}, GITHUB["body"], secret=GITHUB["secret"])


@pytest.mark.parametrize(
    ("signature", "body", "secret"),
    [
        (None, GITHUB["body"], GITHUB["secret"]),
        ("", GITHUB["body"], GITHUB["secret"]),
        ("sha256=", GITHUB["body"], GITHUB["secret"]),
        (GITHUB["signature"], b"Hello, World?", GITHUB["secret"]),
        (GITHUB["signature"], GITHUB["body"], "another secret"),
        (GITHUB["signature"].upper(), GITHUB["body"], GITHUB["secret"]),
        (GITHUB["signature"].replace("sha256", "sha1"), GITHUB["body"], GITHUB["secret"]),
        ("sha256=é", GITHUB["body"], GITHUB["secret"]),
    ],
)
def test_invalid_github_signature_is_refused(signature: str | None, body: bytes, secret: str) -> None:
    headers = {} if signature is None else {"x-hub-signature-256": signature}
    with pytest.raises(NotSigned):
        check_github(headers, body, secret=secret)


def test_example_of_standard_webhooks_is_valid() -> None:
    check_webhook(SIGNED, BODY, key=KEY, now=AT)


def test_one_valid_signature_of_several_is_enough() -> None:
    both = SIGNED | {"webhook-signature": f"v1,AAAA {SIGNED['webhook-signature']} v1a,whatever"}
    check_webhook(both, BODY, key=KEY, now=AT)


@pytest.mark.parametrize("minutes", [-4.9, 4.9])
def test_timestamp_within_five_minutes_is_accepted(minutes: float) -> None:
    check_webhook(SIGNED, BODY, key=KEY, now=AT + timedelta(minutes=minutes))


@pytest.mark.parametrize("minutes", [-5.1, 5.1])
def test_old_or_future_timestamp_is_refused(minutes: float) -> None:
    with pytest.raises(NotSigned, match="five minutes"):
        check_webhook(SIGNED, BODY, key=KEY, now=AT + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_other"},
        {"webhook-id": ""},
        {"webhook-id": "x" * 201},
        {"webhook-timestamp": "1614265331"},
        {"webhook-timestamp": "now"},
        {"webhook-timestamp": "²"},
        {"webhook-timestamp": "9" * 13},
        {"webhook-signature": ""},
        {"webhook-signature": SIGNED["webhook-signature"].removeprefix("v1,")},
        {"webhook-signature": SIGNED["webhook-signature"][:-1]},
    ],
)
def test_changed_header_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(NotSigned):
        check_webhook(SIGNED | changed, BODY, key=KEY, now=AT)


@given(st.binary(max_size=200))
def test_changed_body_is_refused(body: bytes) -> None:
    if body != BODY:
        with pytest.raises(NotSigned):
            check_webhook(SIGNED, body, key=KEY, now=AT)


@pytest.mark.parametrize("pair", ["sasquash:pass:word", ":pass:word"])
def test_password_is_accepted_with_any_user(pair: str) -> None:
    check_password(basic(pair), password="pass:word")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Basic"},
        {"authorization": "Basic ???"},
        {"authorization": "Bearer cGFzczp3b3Jk"},
        basic("sasquash"),
        basic("sasquash:"),
        basic("sasquash:password"),
        basic("pass:word:sasquash"),
    ],
)
def test_wrong_or_missing_password_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(NotSigned):
        check_password(headers, password="pass:word")
