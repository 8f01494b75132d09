"""Key distribution writes the new key to the secret and disables the version with the old key."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.tenant.model import KEY_VAULT
from local.tenant.model.vault import Vault
from shared.domain.azure_clouds import CLOUDS, CloudName
from shared.domain.execution import KeyDistribution, KeyDistributionOutcome
from shared.followup.key_distribution import KeyDistributor
from shared.sas import key_sha256
from tests.support import samples
from tests.support.key_vaults import (
    ID,
    NAME,
    NEW,
    OLD,
    REPLACED,
    THIRD,
    Arm,
    account,
    connection_string,
    execution,
    put,
    shown,
    versions,
)
from tests.support.samples import NOW


async def test_secret_with_the_old_key_gets_the_new_one_and_its_old_version_is_disabled(
    distributor: KeyDistributor, vault: Vault
) -> None:
    old = put(vault)

    done = await distributor.run(execution(), account())

    assert shown(vault) == REPLACED
    assert done == KeyDistribution(
        KeyDistributionOutcome.DONE,
        NOW,
        f"{ID} holds the new key2 in version {versions(vault)[1].version}; version {old.version} with the old "
        "key is disabled.",
        ID,
    )


async def test_all_else_of_the_secret_survives(distributor: KeyDistributor, vault: Vault) -> None:
    properties: dict[str, Any] = {
        "content_type": "application/x-storage-key",
        "tags": {"team": "research"},
        "not_before": NOW - timedelta(days=400),
        "expires": NOW + timedelta(seconds=1),
    }
    old = put(vault, **properties)

    await distributor.run(execution(), account())

    for version in (old, versions(vault)[1]):
        assert {name: getattr(version, name) for name in properties} == properties


async def test_secret_without_any_properties_gets_none(distributor: KeyDistributor, vault: Vault) -> None:
    put(vault)

    await distributor.run(execution(), account())

    new = versions(vault)[1]
    assert (new.content_type, new.tags, new.not_before, new.expires) == (None, None, None, None)


@pytest.mark.parametrize(
    "tag",
    [
        ID,
        f"{ID}/{'0a' * 16}",
        f"  {ID}\n",
        f"HTTPS://{KEY_VAULT.upper()}.Vault.Azure.Net/Secrets/{NAME}",
        ID.replace(NAME, NAME.upper()),
    ],
)
async def test_id_may_be_written_in_each_way_that_azure_shows_it(
    distributor: KeyDistributor, vault: Vault, tag: str
) -> None:
    put(vault)

    assert (await distributor.run(execution(), account(tag))).outcome is KeyDistributionOutcome.DONE
    assert shown(vault) == REPLACED


async def test_tags_are_known_by_any_case_of_their_names(distributor: KeyDistributor, vault: Vault) -> None:
    put(vault, connection_string(OLD))
    tagged = samples.account(tags={"Sasquash-Key-Vault": ID, "SASQUASH-KEY-VAULT-FORMAT": " Connection-String "})

    assert (await distributor.run(execution(), tagged)).outcome is KeyDistributionOutcome.DONE


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (None, "{}"),
        ("key", "{}\r\n"),
        ("", " {}"),
        ("connection-string", "AccountKey={}"),
        ("connection-string", connection_string("{}")),
        ("connection-string", "accountname=robustmodels; ACCOUNTKEY = {} ;\n"),
        (
            "connection-string",
            "SharedAccessSignature=sv=1&sig=AccountKey;BlobEndpoint=https://x/;AccountKey={};;é=ü\n",
        ),
        ("connection-string", f"Other=AccountKey={THIRD};AccountKey={{}}"),
    ],
)
async def test_only_the_key_changes_in_the_value(
    distributor: KeyDistributor, vault: Vault, form: str | None, value: str
) -> None:
    put(vault, value.format(OLD))

    assert (await distributor.run(execution(), account(form=form))).outcome is KeyDistributionOutcome.DONE
    assert shown(vault) == [(value.format(OLD), False), (value.format(NEW), True)]


_PARTS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters=";"), max_size=30), max_size=5).filter(
    lambda parts: not any(part.strip().lower().startswith("accountkey") for part in parts)
)


@given(before=_PARTS, after=_PARTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_stands_around_the_key_is_kept(
    distributor: KeyDistributor, vault: Vault, before: list[str], after: list[str]
) -> None:
    vault.secrets.clear()
    value = ";".join([*before, "AccountKey={key}", *after])
    around = value.split("{key}")
    put(vault, OLD.join(around))

    await distributor.run(execution(), account(form="connection-string"))

    assert shown(vault) == [(OLD.join(around), False), (NEW.join(around), True)]


@pytest.mark.parametrize("name", list(CloudName))
def test_each_cloud_says_where_its_vaults_are(name: CloudName) -> None:
    assert CLOUDS[name].key_vault_suffix.startswith("vault.")


def test_old_and_new_key_are_those_of_the_execution() -> None:
    assert (execution().old_sha256, execution().new_sha256) == (key_sha256(OLD), key_sha256(NEW))


async def test_key_that_was_rotated_again_since_is_distributed_as_it_is_now(
    distributor: KeyDistributor, vault: Vault, arm: Arm
) -> None:
    """The rotation after it finds the secret with a key that is not the one that it replaced, and declines."""
    old = put(vault)
    arm.key2 = THIRD

    done = await distributor.run(execution(), account())

    assert done.outcome is KeyDistributionOutcome.DONE
    assert shown(vault) == [(OLD, False), (THIRD, True)]
    assert old.version in done.said
