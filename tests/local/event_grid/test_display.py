"""Event data as people see it: every form of a storage credential is removed, and nothing else."""

import base64
from urllib.parse import quote

import pytest

from local.event_grid.display import clean

KEY = base64.b64encode(bytes(range(64))).decode()
SIGNATURE = base64.b64encode(bytes(range(100, 132))).decode()


@pytest.mark.parametrize("secret", [KEY, KEY.rstrip("="), quote(KEY, safe=""), SIGNATURE, quote(SIGNATURE, safe="")])
@pytest.mark.parametrize(
    "text",
    ["{}", "https://a/b?sv=1&sig={}&se=2", "AccountKey={};Suffix=x", "SharedAccessSignature=sig={}", "key: '{}'"],
)
def test_credential_is_removed_from_values_and_names(secret: str, text: str) -> None:
    shown = repr(clean({"outer": [text.format(secret)], text.format(secret): 1}))

    assert secret not in shown
    assert secret.rstrip("=") not in shown


@pytest.mark.parametrize("name", ["secret", "Secret", "sig", "data_base64"])
def test_member_that_holds_a_secret_is_withheld(name: str) -> None:
    assert clean({"data": {name: {"any": "value"}}}) == {"data": {name: "(withheld)"}}


@pytest.mark.parametrize(
    "value",
    [
        "5f0c7a1e52c54f3b8d0a2f6f1f0c9a775f0c7a1e52c54f3b8d0a2f6f1f0c9a77",  # a SHA-256
        "/subscriptions/x/resourceGroups/production/providers/Microsoft.Storage/storageAccounts/robustmodels",
        "https://github.com/contoso/robust-models/blob/main/README.md",
        4711,
        None,
        True,
    ],
)
def test_other_values_stay(value: object) -> None:
    assert clean([{"value": value}]) == [{"value": value}]
