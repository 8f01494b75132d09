"""The settings of a separate intake: a few of all, read alike, and none that opens more than the intake needs."""

from dataclasses import fields
from typing import get_type_hints

import pytest

from shared.errors import SettingsError
from shared.intake_settings import INTAKE_ONLY, IntakeSettings, names_of_intake, names_of_responder
from shared.settings import Settings, declared
from tests.unit.test_settings import COMPLETE, SENDER_SECRET

GIVEN = {
    "SASQUASH_CLIENT_ID": "2a7f4bcd-f2a2-490b-8319-f17620580873",
    "SASQUASH_API_AUDIENCES": "d3a1f6b8-5c2e-4f7a-9b0d-8e4c6a2f1d57",
    "SASQUASH_INTAKE_SENDERS": f"wiz={SENDER_SECRET}",
    "SASQUASH_INTAKE_QUOTA": "7",
    "SASQUASH_GITHUB_WEBHOOK_SECRET": "it's a secret to everybody",
    "SASQUASH_GITHUB_APP": "Iv23",
    "SASQUASH_GITHUB_PRIVATE_KEY": "https://kvsqin.vault.azure.net/secrets/github",
    "SASQUASH_AZURE_DEVOPS_ORGANIZATION": "contoso",
    "SASQUASH_AZURE_DEVOPS_PASSWORD": "a password",
}


def test_each_is_read_as_the_setting_of_the_same_name() -> None:
    whole, own = Settings.read(COMPLETE | GIVEN), IntakeSettings.read(COMPLETE | GIVEN)

    assert {field.name: getattr(own, field.name) for field in fields(own)} == {
        field.name: getattr(whole, field.name) for field in fields(own)
    }
    assert own.cloud == whole.cloud
    hints, all_hints = get_type_hints(IntakeSettings), get_type_hints(Settings)
    assert hints == {name: all_hints[name] for name in hints}


def test_intake_starts_without_the_settings_of_the_responder() -> None:
    given = {name: value for name, value in COMPLETE.items() if name in names_of_intake()}

    assert IntakeSettings.read(given).intake_quota == 10_000


@pytest.mark.parametrize(
    ("name", "value"), [("SASQUASH_TENANT_ID", ""), ("SASQUASH_TOPIC_ENDPOINT", "x"), ("SASQUASH_INTAKE_QUOTA", "0")]
)
def test_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is"):
        IntakeSettings.read(COMPLETE | {name: value})


def test_intake_has_no_setting_that_opens_more_than_it_needs() -> None:
    of_responder = {"SASQUASH_GITHUB_CLOSING_PRIVATE_KEY", "SASQUASH_INCIDENT_WEBHOOK_SECRET"}
    of_records = {"SASQUASH_STORAGE__tableServiceUri", "SASQUASH_STORAGE__blobServiceUri", "SASQUASH_SUBSCRIPTIONS"}

    assert names_of_intake().isdisjoint(of_responder | of_records)


def test_each_setting_is_read_by_one_app_at_least() -> None:
    names = {setting.name for setting in declared().values()}

    assert names_of_intake() | names_of_responder() == names
    assert set(INTAKE_ONLY) < {field.name for field in fields(IntakeSettings)}
    assert names_of_responder().isdisjoint(declared()[field].name for field in INTAKE_ONLY)


def test_no_secret_is_in_the_repr() -> None:
    shown = repr(IntakeSettings.read(COMPLETE | GIVEN))

    assert not [secret for secret in (SENDER_SECRET, "a password", "everybody") if secret in shown]
