"""What to do once a leak is dead, so that the next is smaller: what to issue instead, how to harden the account."""

from collections.abc import Iterator

from shared.actions.registry import ACTION_SPECS
from shared.domain.revocation import Revocation
from shared.domain.target import ActionKind
from shared.followup.briefing.commands import issue_instead
from shared.sas import ResourceKind

_MOST = 3  # commands


def instead(revocation: Revocation) -> tuple[str, ...]:
    """Return what to issue instead: read-only and short, for the blobs that were really read, or the leaked one."""
    account, execution = revocation.account, revocation.execution
    if account is None or execution is None or not ACTION_SPECS[execution.action].revokes:
        return ()
    commands = (issue_instead(account.id, container, blob) for container, blob in _blobs(revocation))
    told = [command for command in commands if command is not None][:_MOST]
    return tuple(f"Whoever still has to read it gets a token like this instead: `{command}`" for command in told)


def hardening(revocation: Revocation) -> tuple[str, ...]:
    """Return what keeps the account's keys from signing for years, with what it breaks."""
    account, execution = revocation.account, revocation.execution
    if (
        account is None
        or not account.shared_key_access
        or execution is None
        or execution.action is not ActionKind.ACCOUNT_KEY
    ):
        return ()
    return (
        "Then keep keys from signing for years. `az storage account update --sas-expiration-period 7.00:00:00` "
        "reports longer tokens, and stops none. `az storage account update --allow-shared-key-access false` ends "
        "every token that a key signs: first move whoever uses keys; function apps' own storage and SMB mounts are "
        "often forgotten.",
    )


def _blobs(revocation: Revocation) -> Iterator[tuple[str, str]]:
    """Yield container and name of what was only read with the leak; of the leaked blob where that is not known."""
    usage, credential = revocation.usage, revocation.finding.credential
    if usage is not None and usage.objects:
        for touched in usage.objects:
            parts = touched.name.split("/", 3)  # "/account/container/blob"
            if len(parts) == 4 and parts[3] and not touched.written:
                yield parts[2], parts[3]
    elif credential is not None and credential.resource_kind is ResourceKind.BLOB:
        yield credential.container or "", credential.resource_path or ""
