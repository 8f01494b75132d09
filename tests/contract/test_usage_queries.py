"""The queries of the storage logs: valid KQL by Microsoft's own language service, and nothing hostile goes in."""

from datetime import UTC, datetime

import pytest

from shared.cloud import log_queries
from shared.domain.target import InvalidTarget, PolicyTarget
from shared.sas import Service
from tests.contract.infra import test_queries

HASH = "ab" * 32
COLUMNS = (
    "(TimeGenerated: datetime, AuthenticationHash: string, StatusCode: string, Category: string, ObjectKey: string,"
    " ResponseBodySize: long, CallerIpAddress: string, UserAgentHeader: string, OperationName: string, Uri: string,"
    " RequesterUpn: string, RequesterObjectId: string, RequesterAppId: string, ClientRequestId: string,"
    " AccountName: string, AuthenticationType: string, _ResourceId: string)"
)
TABLES = dict.fromkeys(("StorageBlobLogs", "StorageQueueLogs", "StorageTableLogs", "StorageFileLogs"), COLUMNS)
LINES = {
    "token": log_queries.by_token(HASH),
    "key": log_queries.by_key("key2"),
    "others": log_queries.without_token(log_queries.by_key("key1"), HASH),
}


def test_every_query_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_queries, "TABLES", TABLES)
    asked = {
        f"{name} {question.__name__}": question(lines)
        for name, lines in LINES.items()
        for question in (log_queries.objects, log_queries.clients)
    } | {f"{name} totals": log_queries.totals(lines, ended=datetime.now(UTC)) for name, lines in LINES.items()}
    asked |= {
        f"policies of {service}": log_queries.policy_writes(PolicyTarget(service, "models", "x"))
        for service in (Service.BLOB, Service.QUEUE, Service.TABLE, Service.FILE)
    }
    asked["SAS in use"] = log_queries.sas_in_use()

    assert test_queries.checked(asked) == {name: [] for name in asked}


@pytest.mark.parametrize("hostile", ["", "ab' or true or '", HASH.upper(), HASH + "0", f"{HASH}\n", "é" * 64])
def test_query_accepts_only_a_hash(hostile: str) -> None:
    with pytest.raises(ValueError, match="64 hex digits"):
        log_queries.by_token(hostile)
    with pytest.raises(ValueError, match="64 hex digits"):
        log_queries.without_token(LINES["key"], hostile)


@pytest.mark.parametrize("hostile", ["key3", "kerb1", "key1' or true", "KEY1", ""])
def test_query_accepts_only_a_key_name(hostile: str) -> None:
    with pytest.raises(ValueError, match="key1 or key2"):
        log_queries.by_key(hostile)


@pytest.mark.parametrize("hostile", ["", "models' or true or '", "a/b", "models\n", "é", "-" * 3])
def test_query_accepts_only_the_name_of_a_resource(hostile: str) -> None:
    """The policy's id, which may hold any character, is not in the query."""
    with pytest.raises(InvalidTarget):
        PolicyTarget(Service.BLOB, hostile, "partners")
    assert "' or true" not in log_queries.policy_writes(PolicyTarget(Service.BLOB, "models", "x' or true or '"))
