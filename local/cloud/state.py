"""The state of the local cloud as `GET /state` of the control port shows it."""

from typing import Any

from local.key_vault import body as key_vault_body
from local.tenant.model import Account, Cloud, Incident, Mail

type Json = dict[str, Any]


def state_of(cloud: Cloud) -> Json:
    """Return the state of the cloud as a JSON object; times are datetimes."""
    return {
        "accounts": {account.name: _account_state(account) for account in cloud.accounts.values()},
        "incidents": [_incident_state(incident) for incident in cloud.incidents],
        "mails": [_mail_state(mail) for mail in cloud.mails],
        "dead_letters": cloud.dead_letters,
        "events": cloud.events,
        "vaults": {vault.name: key_vault_body.state(vault) for vault in cloud.vaults.values()},
        "sources": _source_states(cloud),
        "traces": [_trace_state(item) for item in cloud.telemetry],
        "messages": [],
    }


def _trace_state(item: Json) -> Json:
    """Return a span as Application Insights received it."""
    data, tags = item["data"]["baseData"], item.get("tags") or {}
    return {
        "trace": tags.get("ai.operation.id"),
        "id": data["id"],
        "parent": tags.get("ai.operation.parentId"),
        "name": data["name"],
        "start": item["time"],
        "duration": data["duration"],
        "properties": data.get("properties") or {},
    }


def _source_states(cloud: Cloud) -> list[Json]:
    """Return the alerts that other tools keep, without their secrets."""
    alerts = cloud.alerts
    return [
        *(
            {"source": "github", "alert": a.number, "place": a.repository}
            | {"state": a.state, "resolution": a.resolution, "comment": a.comment}
            for a in alerts.github
        ),
        *(
            {"source": "azure-devops", "alert": a.number, "place": None}
            | {"state": a.state, "resolution": a.reason, "comment": a.comment}
            for a in alerts.azure_devops
        ),
        *(
            {"source": "defender", "alert": a.id, "place": None}
            | {"state": a.status, "resolution": a.classification, "comment": "\n".join(a.comments) or None}
            for a in alerts.defender
        ),
    ]


def _account_state(account: Account) -> Json:
    return {
        "id": account.id,
        **account.keys,
        "tags": account.tags,
        "rotations": [{"key": key, "at": at} for key, at in account.rotations],
        "properties": account.properties,
        "delegation_keys_revoked_at": account.delegation_keys_revoked_at,
        "policies": {
            f"{service}/{resource}": [identifier.id for identifier in identifiers]
            for (service, resource), identifiers in account.policies.items()
        },
    }


def _incident_state(incident: Incident) -> Json:
    return {**incident.fields, "sink": incident.sink, "id": incident.item_id}


def _mail_state(mail: Mail) -> Json:
    return {"to": [*mail.to, *mail.cc], "subject": mail.subject, "body": mail.body}
