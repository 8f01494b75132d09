"""Account key action: regenerate the one key that signed a leak.

ARM: Storage Accounts - List Keys, Regenerate Key (2026-09-01). Regenerating is not idempotent, a second call breaks
clients that have already moved on. So it is sent once, and a lost answer is reconciled by listing the keys.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import override

from azure.mgmt.storage.aio import StorageManagementClient
from azure.mgmt.storage.models import StorageAccountKey, StorageAccountRegenerateKeyParameters

from shared.actions.az_cli import CliAccount
from shared.actions.verification import Verifier
from shared.cloud.accounts import MAY_BE_REPEATED, AccountRef
from shared.cloud.arm_write import answered, once
from shared.cloud.errors import from_account, translate_errors
from shared.domain.account import KEY_VAULT_TAG, AccountFacts, AccountKey, tag_in
from shared.domain.decision.action_spec import NOTIFY, SHARED_KEY_IS_OFF, ActionSpec
from shared.domain.decision.attribution import Verdict
from shared.domain.decision.snapshot import Snapshot
from shared.domain.revocation import Execution, Plan, Revocation, Verification, VerificationToken
from shared.domain.target import KEY_NAMES, ActionKind, InvalidTarget
from shared.errors import TransientFailure

_REGENERATE_TIMEOUT = 25.0  # seconds; within account_table.PULL_TIME

_IMPACT = (
    "Every client that uses {key} of {account}: connection strings, Shared Key requests, SMB mounts.",
    "Every SAS that {key} signed, including SAS tokens that did not leak.",
    "Function apps, Logic Apps, linked services and mounts that were configured with {key} (AzureWebJobsStorage and "
    "similar): they fail at their next request or restart.",
)


class AccountKeySpec(ActionSpec):
    """The texts and rules of regenerating a key."""

    kind = ActionKind.ACCOUNT_KEY
    may_run_at_deadline = True
    untouched = "; the other key was not touched"

    def check_target(self, target: str) -> None:
        """Return for key1 and key2. Raises InvalidTarget."""
        if target not in KEY_NAMES:
            raise InvalidTarget("the target of account_key is key1 or key2")

    def version(self, snapshot: Snapshot, target: str) -> str:
        """Return the key's SHA-256 (hex)."""
        return snapshot.keys[target].sha256

    def impact(self, account: AccountFacts, target: str) -> tuple[str, ...]:
        """Return who uses the key, or what it signed."""
        return tuple(line.format(key=target, account=account.name) for line in _IMPACT)

    def steps(self, account: AccountFacts, target: str) -> tuple[str, ...]:
        """Return the steps; key distribution is one where the account's tag asks for it."""
        distribution = (
            f"Write the new {target} to the Key Vault secret that the account's tag {KEY_VAULT_TAG} names, if the "
            "settings allow it and the secret holds the old key."
        )
        return (
            f"Regenerate {target} of {account.name}, once; the other key stays as it is.",
            f"Verify with a token of our own that the old {target} is refused.",
            *((distribution,) if tag_in(account.tags, KEY_VAULT_TAG) else ()),
            NOTIFY,
        )

    @override
    def ends(self, plan: Plan, verdict: Verdict, own_plan: Plan | None) -> bool:
        """Whether the key signed it, under a stored access policy or not."""
        return (verdict.key_name, verdict.key_sha256) == (plan.target, plan.version)

    def done(self, target: str, account: str) -> str:
        """Return that the key was regenerated."""
        return f"{target} of {account} was regenerated."

    def used(self, target: str) -> str:
        """Return the key's name."""
        return target

    @override
    def if_shared_key_is_off(self, target: str) -> str:
        """Return that the key is refused for now."""
        return SHARED_KEY_IS_OFF

    def by_hand(self, account_id: str | None, target: str | None) -> str | None:
        """Return the command that regenerates the key."""
        account = CliAccount.of(account_id)
        if account is None or target not in KEY_NAMES:
            return None
        return f"az storage account keys renew {account.in_group()} --key {target} --output none"

    def afterwards(self, account_id: str | None, target: str | None) -> str | None:
        """Return the command that prints the key's new value."""
        account = CliAccount.of(account_id)
        if account is None or target not in KEY_NAMES:
            return None
        query = f"[?keyName=='{target}'].value"
        return f'az storage account keys list {account.in_group()} --query "{query}" --output tsv'

    @override
    def recovery(self, revocation: Revocation, execution: Execution) -> tuple[str, ...]:
        """Return where the clients get the new key from, and what is better."""
        return (
            "Give the key's new value to the clients that used the old one, or better: move them to Entra ID or to a "
            "user delegation SAS, read-only, for the paths they need, and short-lived.",
        )

    @override
    def if_still_accepted(self, revocation: Revocation, execution: Execution) -> str:
        """Return how to refuse every key."""
        return (
            "Disallow shared key access for now: `az storage account update --allow-shared-key-access false`, then "
            "open a support request: Azure must refuse a regenerated key within ten minutes."
        )


class AccountKeyAction:
    """Describes, pulls and proves the regeneration of a key."""

    def __init__(
        self,
        client_for: Callable[[str], StorageManagementClient],
        verifier: Verifier,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._client_for = client_for
        self._verifier = verifier
        self._clock = clock
        self._new_id = new_id

    async def keys(self, account: AccountRef | AccountFacts) -> dict[str, AccountKey]:
        """Return key1 and key2 as ARM has them now, both. Raises AccountGone, TransientFailure or Blocked."""
        client = self._client_for(account.subscription)
        doing = f"Listing the keys of {account.name}"
        with translate_errors(doing, meaning=from_account):
            # Typed as "kerb" only, though None is what leaves the Kerberos keys out; the default asks for them.
            result = await client.storage_accounts.list_keys(
                account.resource_group,
                account.name,
                expand=None,  # type: ignore[arg-type]
                retry_on_methods=MAY_BE_REPEATED,
            )
        keys = _sas_keys(result.keys_property or [])
        if len(keys) != len(KEY_NAMES):
            raise TransientFailure(f"{doing} brought {len(keys)} of {len(KEY_NAMES)} keys.")
        return keys

    async def execute(
        self,
        plan: Plan,
        account: AccountFacts,
        *,
        keys: Mapping[str, AccountKey],
        tokens: tuple[VerificationToken, ...],
    ) -> Execution:
        """Regenerate key `plan.target`, once.

        Meanwhile each proof token is tried, so that the record can say that it was accepted before. Raises Throttled
        or Blocked (nothing happened), or TransientFailure; one with `sent` leaves open whether it happened.
        """
        if keys[plan.target].sha256 != plan.version:
            raise TransientFailure(f"{plan.target} of {account.name} changed since the plan was made.", sent=False)
        correlation_id = self._new_id()
        async with self._verifier.trying(tokens) as tried:
            after = await self._regenerate(plan, account, correlation_id)
            at = self._clock()
        new_key = after.get(plan.target)
        if new_key is None or new_key.sha256 == plan.version:
            raise TransientFailure(f"ARM answered, but {plan.target} of {account.name} is what it was.")
        return Execution(
            action=ActionKind.ACCOUNT_KEY,
            target=plan.target,
            at=at,
            old_sha256=plan.version,
            new_sha256=new_key.sha256,
            confirmed_by="answer",
            correlation_id=correlation_id,
            verification_tokens=tuple(tried),
        )

    async def _regenerate(self, plan: Plan, account: AccountFacts, correlation_id: str) -> dict[str, AccountKey]:
        doing = f"Regenerating {plan.target} of {account.name}"
        client = self._client_for(account.subscription)
        async with answered(doing, within=_REGENERATE_TIMEOUT):
            result = await client.storage_accounts.regenerate_key(
                account.resource_group,
                account.name,
                StorageAccountRegenerateKeyParameters(key_name=plan.target),
                **once(correlation_id),
            )
        return _sas_keys(result.keys_property or [])

    async def verify(self, execution: Execution, account: AccountFacts) -> Verification:
        """Return what is proven of the old key's death by now: by ARM, and by tokens of our own."""
        now = (await self.keys(account))[execution.target]
        return await self._verifier.verify(
            execution, account, changed=now.sha256 != execution.old_sha256, new_key=now.value
        )


def by_listing(target: str, old_sha256: str, key: AccountKey, *, at: datetime) -> Execution:
    """Return the pull that ARM's list of keys tells of where its answer was lost. `at`: if ARM does not say when."""
    return Execution(
        action=ActionKind.ACCOUNT_KEY,
        target=target,
        at=key.created or at,
        old_sha256=old_sha256,
        new_sha256=key.sha256,
        confirmed_by="listing",
        correlation_id=None,
    )


def _sas_keys(keys: list[StorageAccountKey]) -> dict[str, AccountKey]:
    return {
        str(key.key_name): AccountKey(str(key.value), key.creation_time)
        for key in keys
        if key.key_name in KEY_NAMES and key.value
    }
