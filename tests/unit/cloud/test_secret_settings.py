from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from shared.cloud.secret_settings import SecretSettings
from shared.errors import Blocked, TransientFailure
from shared.setting_parsers import SecretSetting
from tests.support.intake import Clock

ID = "https://sasquash-vault.vault.azure.net/secrets/github-webhook"


class Vault:
    """One vault; notes what it was asked for."""

    def __init__(self, *values: str | Exception | None) -> None:
        self.values = list(values)
        self.asked: list[Any] = []

    def __call__(self, url: str) -> "Vault":
        self.asked.append(url)
        return self

    async def get_secret(self, name: str, version: str, **_: object) -> object:
        self.asked.append((name, version))
        value = self.values.pop(0)
        if isinstance(value, Exception):
            raise value
        return SimpleNamespace(value=value)


def made(*values: str | Exception | None) -> tuple[SecretSettings, Vault, Clock]:
    vault, clock = Vault(*values), Clock()
    return SecretSettings(vault, clock=clock), vault, clock  # type: ignore[arg-type]


async def test_a_secret_may_stand_in_its_setting() -> None:
    secrets, vault, _ = made()

    assert await secrets.read(SecretSetting("it's a secret")) == "it's a secret"
    assert vault.asked == []


async def test_a_secret_may_be_in_a_vault_and_is_asked_for_once_in_five_minutes() -> None:
    secrets, vault, clock = made("one", "two")
    read = [await secrets.read(SecretSetting(ID)) for _ in range(2)]
    clock.now += timedelta(minutes=5)
    read.append(await secrets.read(SecretSetting(ID)))

    assert read == ["one", "one", "two"]
    assert vault.asked[:2] == ["https://sasquash-vault.vault.azure.net", ("github-webhook", "")]


@pytest.mark.parametrize("value", [None, ""])
async def test_an_empty_secret_is_no_secret(value: str | None) -> None:
    secrets, *_ = made(value)

    with pytest.raises(Blocked, match="is empty"):
        await secrets.read(SecretSetting(ID))


async def test_a_vault_that_is_down_passes_and_is_asked_again() -> None:
    down = HttpResponseError("Down.")
    down.status_code = 503
    secrets, *_ = made(down, "one")

    with pytest.raises(TransientFailure):
        await secrets.read(SecretSetting(ID))
    assert await secrets.read(SecretSetting(ID)) == "one"


def test_a_secret_stays_out_of_every_repr() -> None:
    assert "secret text" not in repr(SecretSetting("secret text"))
