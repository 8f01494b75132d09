"""Azure CLI commands of notifications, to be pasted into a shell. None of them holds a secret.

The names of accounts and containers are Azure's, which need no quoting. tests/tools runs each command.
"""

import re
import shlex

from shared.actions.az_cli import CliAccount
from shared.domain.text import Code
from shared.redaction import redact

_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")
_PLAIN_BLOB = re.compile(r"(?!-)[\w.@+= -][\w./@+= -]{0,199}", re.ASCII)


def issue_instead(account_id: str | None, container: str, blob: str) -> Code | None:
    """Return the command that issues a user delegation SAS which reads one blob for an hour, as the signed-in user.

    None if it can't be written safely. REST: "Create a user delegation SAS".
    """
    account = CliAccount.of(account_id)
    if account is None or not _CONTAINER.fullmatch(container) or not _PLAIN_BLOB.fullmatch(blob):
        return None
    if redact(blob) != blob:  # a secret was pasted into a path
        return None
    return Code(
        f"az storage blob generate-sas --as-user --auth-mode login {account.by_name} "
        f"--container-name {container} --name {shlex.quote(blob)} "
        "--permissions r --https-only --full-uri --expiry $(date -u -d '+1 hour' +%Y-%m-%dT%H:%MZ)"
    )


def make_private(account: str, container: str) -> Code:
    """Return the command that ends anonymous access to a container."""
    return Code(f"az storage container set-permission {_by_key(account)} --name {container} --public-access off")


def list_versions(account: str) -> Code:
    """Return the command that lists the versions of a blob, with placeholders for it."""
    return Code(f"az storage blob list --include v {_by_key(account)} --container-name CONTAINER --prefix BLOB")


def undelete(account: str) -> Code:
    """Return the command that restores a deleted blob, with placeholders for it."""
    return Code(f"az storage blob undelete {_by_key(account)} --container-name CONTAINER --name BLOB")


def _by_key(account: str) -> str:
    return f"--account-name {account} --auth-mode key"
