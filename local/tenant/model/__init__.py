"""The model of one tenant, shared by all stand-ins: a module per service, and `Cloud`, which holds them together.

Everything is in memory and in one process: a restart gives an empty cloud. Account keys are part of the model, since
the stand-ins of ARM and of Azurite need them; they are never written to disk.
"""

from local.tenant.model.clock import now
from local.tenant.model.cloud import Cloud, RecordedRequest
from local.tenant.model.governance import ActivityEvent, DenyAssignment, RoleAssignment
from local.tenant.model.graph import Group, Incident, Mail, User
from local.tenant.model.identity import Identity
from local.tenant.model.names import (
    API_ID_URI,
    CONSOLE_CLIENT_ID,
    HISTORY_RULE,
    HISTORY_WORKSPACE,
    INTAKE_ACCOUNT,
    KEY_VAULT,
    LOCATION,
    MAIL_SENDER,
    MANAGEMENT_GROUP,
    SECURITY_MAILBOX,
    SHAREPOINT_LIST,
    SHAREPOINT_SITE,
    STATE_ACCOUNT,
    STORAGE_WORKSPACE,
    SUBSCRIPTION_ID,
    TENANT_DOMAIN,
    TENANT_ID,
    TOPIC_HOST,
)
from local.tenant.model.registration import AZURE_CLI, GRAPH_POWERSHELL, Registration
from local.tenant.model.storage import (
    AccessPolicy,
    Account,
    CustomLogRow,
    DelegationKey,
    Share,
    SignedIdentifier,
    StorageLogLine,
    Tables,
    new_storage_key,
)

__all__ = [
    "API_ID_URI",
    "AZURE_CLI",
    "CONSOLE_CLIENT_ID",
    "GRAPH_POWERSHELL",
    "HISTORY_RULE",
    "HISTORY_WORKSPACE",
    "INTAKE_ACCOUNT",
    "KEY_VAULT",
    "LOCATION",
    "MAIL_SENDER",
    "MANAGEMENT_GROUP",
    "SECURITY_MAILBOX",
    "SHAREPOINT_LIST",
    "SHAREPOINT_SITE",
    "STATE_ACCOUNT",
    "STORAGE_WORKSPACE",
    "SUBSCRIPTION_ID",
    "TENANT_DOMAIN",
    "TENANT_ID",
    "TOPIC_HOST",
    "AccessPolicy",
    "Account",
    "ActivityEvent",
    "Cloud",
    "CustomLogRow",
    "DelegationKey",
    "DenyAssignment",
    "Group",
    "Identity",
    "Incident",
    "Mail",
    "RecordedRequest",
    "Registration",
    "RoleAssignment",
    "Share",
    "SignedIdentifier",
    "StorageLogLine",
    "Tables",
    "User",
    "new_storage_key",
    "now",
]
