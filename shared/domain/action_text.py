"""What a lever does, in words: for records, and for the people who read them. Pure."""

from shared.domain.revocation import Execution
from shared.domain.target import ActionKind, Lockdown, PolicyTarget
from shared.sas import Service

_RESOURCES = {
    Service.BLOB: "container",
    Service.QUEUE: "queue",
    Service.TABLE: "table",
    Service.FILE: "file share",
}


def done(execution: Execution, account: str) -> str:
    """Return what pulling the lever did, as one sentence. A policy's id in it is text from outside."""
    match execution.action:
        case ActionKind.ACCOUNT_KEY:
            return f"{execution.target} of {account} was regenerated."
        case ActionKind.STORED_POLICY:
            name = policy(execution.target)
            return f"{name[0].upper()}{name[1:]} of {account} was revoked."
        case ActionKind.DELEGATION_KEY:
            return f"All user delegation keys of {account} were revoked."
        case ActionKind.LOCKDOWN if execution.target == Lockdown.SHARED_KEY:
            return f"Shared key access of {account} was switched off."
        case ActionKind.LOCKDOWN:
            return f"{account} was closed to public networks."


def policy(target: str) -> str:
    """Return what a stored access policy is called: "the stored access policy 'partners' of container models".

    Between backticks people are shown commands: none of a policy's id is to pass for one.
    """
    parsed = PolicyTarget.parse(target)
    name = parsed.policy.replace("`", "'")
    return f"the stored access policy '{name}' of {resource(parsed)}"


def resource(target: PolicyTarget) -> str:
    """Return what the place of a policy is called: "container models"."""
    return f"{_RESOURCES[target.service]} {target.resource}"
