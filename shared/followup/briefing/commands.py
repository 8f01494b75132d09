"""The Azure CLI command that issues a safer token, to be pasted into a shell. It holds no secret."""

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
