"""Key distribution writes nothing where the tags do not ask for it, or name no secret that it may write."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.tenant.model import KEY_VAULT
from local.tenant.model.vault import Vault
from shared.domain.execution import KeyDistributionOutcome
from shared.domain.target import ActionKind
from shared.followup import key_distribution
from shared.followup.key_distribution import KeyDistributor
from tests.support import samples
from tests.support.key_vaults import (
    FORMAT,
    ID,
    NAME,
    OLD,
    TAG,
    THIRD,
    Arm,
    FaultyTransport,
    account,
    connection_string,
    execution,
    put,
    shown,
)
from tests.support.samples import KEYS, NOW


@pytest.mark.parametrize("action", [action for action in ActionKind if action is not ActionKind.ACCOUNT_KEY])
async def test_execution_of_another_action_distributes_nothing(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport, action: ActionKind
) -> None:
    put(vault)

    result = await distributor.run(execution(action=action), account())

    assert (result.outcome, result.secret, wire.lines) == (KeyDistributionOutcome.NOT_ASKED, None, [])


@pytest.mark.parametrize("tags", [{}, {TAG: "  "}, {FORMAT: "key"}, {"sasquash-key-vaults": ID}])
async def test_account_without_the_tag_distributes_nothing(
    distributor: KeyDistributor, wire: FaultyTransport, arm: Arm, tags: dict[str, str]
) -> None:
    result = await distributor.run(execution(), samples.account(tags=tags))

    assert (result.outcome, wire.lines, arm.asked) == (KeyDistributionOutcome.NOT_ASKED, [], 0)
    assert result.said == "No tag sasquash-key-vault names a secret that holds the key."


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        (
            f"https://other-vault.vault.azure.net/secrets/{NAME}",
            "names key vault other-vault, which SASQUASH_KEY_VAU",
        ),
        (f"https://{KEY_VAULT}x.vault.azure.net/secrets/{NAME}", f"names key vault {KEY_VAULT}x, which"),
        (ID.replace("https", "http"), "is not the ID of a secret"),
        (ID.replace("vault.azure.net", "vault.azure.cn"), "is not the ID of a secret"),
        (ID.replace("vault.azure.net", "vault.azure.net.evil.example"), "is not the ID of a secret"),
        (ID.replace("vault.azure.net", "vault.azure.net:8443"), "is not the ID of a secret"),
        (ID.replace("https://", f"https://{KEY_VAULT}.vault.azure.net@evil.example/"), "is not the ID of a secret"),
        (ID.replace("https://", "https://evil.example#"), "is not the ID of a secret"),
        (ID.replace("sasquash-vault", "sasqua\u017fh-vault"), "is not the ID of a secret"),
        (ID.replace("/secrets/", "/keys/"), "is not the ID of a secret"),
        (ID.replace("/secrets/", "//secrets/"), "is not the ID of a secret"),
        (f"{ID}/", "is not the ID of a secret"),
        (f"{ID}/versions", "is not the ID of a secret"),
        (f"{ID}/../other", "is not the ID of a secret"),
        (f"{ID}?api-version=7.4", "is not the ID of a secret"),
        (f"{ID}%2F..", "is not the ID of a secret"),
        (f"{ID};{ID}", "is not the ID of a secret"),
        (ID.replace(NAME, "a" * 128), "is not the ID of a secret"),
        (ID.replace(NAME, ""), "is not the ID of a secret"),
        (NAME, "is not the ID of a secret"),
        ("<script>alert(1)</script>", "is not the ID of a secret"),
    ],
)
async def test_tag_that_names_no_secret_in_an_allowed_vault_is_declined_without_a_call(
    distributor: KeyDistributor, wire: FaultyTransport, arm: Arm, tag: str, said: str
) -> None:
    result = await distributor.run(execution(), account(tag))

    assert (result.outcome, result.secret, wire.lines, arm.asked) == (KeyDistributionOutcome.DECLINED, None, [], 0)
    assert said in result.said
    assert "evil" not in result.said
    assert "<script>" not in result.said


@given(
    tag=st.one_of(st.text(), st.from_regex(key_distribution._SECRET_ID), st.builds("".join, st.permutations([*ID])))
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_text_leads_to_a_vault_that_is_not_allowed(
    distributor: KeyDistributor, wire: FaultyTransport, tag: str
) -> None:
    await distributor.run(execution(), account(tag))

    assert all(line.startswith(f"GET https://{KEY_VAULT}.vault.azure.net/secrets/") for line in wire.lines)


@pytest.mark.parametrize("form", ["json", "connection string", "key;"])
async def test_unknown_format_is_declined_without_a_call(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport, form: str
) -> None:
    put(vault)

    result = await distributor.run(execution(), account(form=form))

    assert (result.outcome, result.secret, wire.lines) == (KeyDistributionOutcome.DECLINED, ID, [])
    assert result.said == "The tag sasquash-key-vault-format is neither key nor connection-string."


@pytest.mark.parametrize("unknown", ["old_sha256", "new_sha256"])
async def test_key_that_is_not_known_is_declined_without_a_call(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport, unknown: str
) -> None:
    put(vault, "")

    result = await distributor.run(execution(**{unknown: ""}), account())

    assert (result.outcome, wire.lines) == (KeyDistributionOutcome.DECLINED, [])
    assert result.said == "The old or the new value of key2 is unknown."


@dataclass(frozen=True)
class Left:
    """A secret that is left as it is, and why."""

    said: str
    value: str = OLD
    form: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)


LEFT = {
    "other key": Left("does not hold the key2 that was replaced", KEYS["key1"]),
    "other key in a connection string": Left(
        "does not hold the key2 that was replaced", connection_string(THIRD), "connection-string"
    ),
    "connection string": Left('tag sasquash-key-vault-format to "connection-string"', connection_string(OLD)),
    "two keys": Left("is not an account key alone", f"{OLD} {OLD}"),
    "key without its end": Left("is not an account key alone", OLD[:-2]),
    "nothing": Left("is not an account key alone", ""),
    "key where a connection string should be": Left("with one AccountKey", OLD, "connection-string"),
    "same key twice": Left("with one AccountKey", f"AccountKey={OLD};AccountKey={OLD}", "connection-string"),
    "two AccountKeys": Left("with one AccountKey", f"AccountKey={OLD};accountkey={THIRD}", "connection-string"),
    "part of a name": Left("with one AccountKey", f"NotAccountKey={OLD}", "connection-string"),
    "quoted": Left("with one AccountKey", f'AccountKey="{OLD}"', "connection-string"),
    "disabled": Left(f"The current version of {ID} is disabled.", properties={"enabled": False}),
    "expired": Left(f"The current version of {ID} has expired.", properties={"expires": NOW}),
    "managed": Left("belongs to a certificate", properties={"managed": True}),
}


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
async def test_secret_that_must_not_be_replaced_is_left_as_it_is(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport, arm: Arm, left: Left
) -> None:
    old = put(vault, left.value, **left.properties)

    result = await distributor.run(execution(), account(form=left.form))

    assert (result.outcome, result.secret, result.at) == (KeyDistributionOutcome.DECLINED, ID, NOW)
    assert left.said in result.said
    assert shown(vault) == [(left.value, old.enabled)]
    assert (wire.count("PUT"), wire.count("PATCH"), arm.asked) == (0, 0, 0)


async def test_old_key_in_an_older_version_alone_is_no_reason_to_write(
    distributor: KeyDistributor, vault: Vault
) -> None:
    put(vault)
    put(vault, THIRD)

    assert (await distributor.run(execution(), account())).outcome is KeyDistributionOutcome.DECLINED
    assert shown(vault) == [(OLD, True), (THIRD, True)]


async def test_secret_that_does_not_exist_is_not_made(distributor: KeyDistributor, vault: Vault) -> None:
    result = await distributor.run(execution(), account())

    assert (result.outcome, result.said) == (KeyDistributionOutcome.DECLINED, f"{ID} does not exist, or was deleted.")
    assert vault.secrets == {}


async def test_secret_that_was_deleted_stays_deleted(distributor: KeyDistributor, vault: Vault) -> None:
    put(vault)
    vault.secrets[NAME].deleted = True

    assert (await distributor.run(execution(), account())).outcome is KeyDistributionOutcome.DECLINED
    assert shown(vault) == [(OLD, True)]
