"""host.json, app settings, bindings and connections: what the host accepts and what it refuses."""

import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.host.app_loader import AuthLevel, HttpTrigger, QueueTrigger, TimerTrigger, function_of
from local.host.configuration import AppSettings, MessageEncoding, StartError, read_host_json
from local.host.connections import StorageClients, StorageConnection, storage_connection
from tests.support.paths import ROOT


def write_host_json(folder: Path, **changes: Any) -> Path:
    (folder / "host.json").write_text(json.dumps({"version": "2.0"} | changes))
    return folder


def test_apps_own_host_json_is_supported() -> None:
    configuration = read_host_json(ROOT)
    assert configuration.function_timeout == timedelta(minutes=5)
    assert configuration.route_prefix == "api"
    queues = configuration.queues
    assert (queues.batch_size, queues.new_batch_threshold, queues.max_dequeue_count) == (8, 4, 5)
    assert queues.visibility_timeout == timedelta(seconds=30)
    assert queues.max_polling_interval == timedelta(seconds=2)
    assert queues.message_encoding is MessageEncoding.NONE


def test_missing_options_have_the_extensions_defaults(tmp_path: Path) -> None:
    configuration = read_host_json(write_host_json(tmp_path))
    assert configuration.function_timeout == timedelta(minutes=30)
    assert configuration.queues.batch_size == 16
    assert configuration.queues.new_batch_threshold == 8
    assert configuration.queues.max_polling_interval == timedelta(minutes=1)


def test_function_timeout_of_minus_one_is_none(tmp_path: Path) -> None:
    assert read_host_json(write_host_json(tmp_path, functionTimeout="-1")).function_timeout is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"version": "1.0"}, "version"),
        ({"singleton": {}}, "singleton is not supported"),
        ({"retry": {"strategy": "fixedDelay"}}, "retry is not supported"),
        ({"functionTimeout": "five minutes"}, "functionTimeout"),
        ({"extensionBundle": {"id": "Other"}}, "extensionBundle.id"),
        ({"extensions": {"eventHubs": {}}}, "extensions.eventHubs is not supported"),
        ({"extensions": {"http": {"maxOutstandingRequests": 5}}}, "extensions.http.maxOutstandingRequests"),
        ({"extensions": {"queues": {"batchSize": 33}}}, "extensions.queues.batchSize"),
        ({"extensions": {"queues": {"batchSize": "8"}}}, "extensions.queues.batchSize"),
        ({"extensions": {"queues": {"maxPollingInterval": "00:00:00.05"}}}, "maxPollingInterval"),
        ({"extensions": {"queues": {"messageEncoding": "utf-8"}}}, "messageEncoding"),
    ],
)
def test_host_json_with_anything_else_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(StartError, match=named):
        read_host_json(write_host_json(tmp_path, **changes))


def test_app_without_host_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"host\.json is missing"):
        read_host_json(tmp_path)


def test_settings_are_case_insensitive() -> None:
    assert AppSettings({"Nightly": "x"}).expand("a %NIGHTLY% b", of="function f") == "a x b"


def test_placeholder_without_a_setting_is_refused() -> None:
    with pytest.raises(StartError, match="function f: '%NIGHTLY%'"):
        AppSettings({}).expand("%NIGHTLY%", of="function f")


@pytest.mark.parametrize(
    ("setting", "value", "disabled"),
    [
        ("AzureWebJobs.f.Disabled", "true", True),
        ("AzureWebJobs_f_Disabled", "1", True),
        ("AzureWebJobs.f.Disabled", "false", False),
        ("AzureWebJobs.g.Disabled", "true", False),
        ("AzureWebJobs__f__Disabled", "true", False),  # azure-functions-host 4.1037, tried
    ],
)
def test_setting_disables_one_function(setting: str, value: str, disabled: bool) -> None:
    assert AppSettings({setting: value}).is_disabled("f") is disabled


def metadata(*bindings: dict[str, Any], retry: object = None) -> SimpleNamespace:
    raw = [json.dumps({"direction": "IN", "name": "x"} | binding) for binding in bindings]
    return SimpleNamespace(name="f", function_id="1", raw_bindings=raw, retry_options=retry)


HTTP_OUT = {"type": "http", "name": "$return", "direction": "OUT"}


@pytest.mark.parametrize(
    ("bindings", "trigger"),
    [
        (
            ({"type": "httpTrigger", "methods": ["get"], "authLevel": "ANONYMOUS", "route": "a/b"}, HTTP_OUT),
            HttpTrigger(route="a/b", methods=frozenset({"GET"}), auth_level=AuthLevel.ANONYMOUS),
        ),
        (
            ({"type": "httpTrigger"}, HTTP_OUT),
            HttpTrigger(route="f", methods=frozenset(), auth_level=AuthLevel.FUNCTION),
        ),
        (({"type": "queueTrigger", "queueName": "q"},), QueueTrigger(queue="q", connection="")),
        (
            ({"type": "timerTrigger", "schedule": "%S%"},),
            TimerTrigger(schedule="%S%", run_on_startup=False, use_monitor=True),
        ),
    ],
)
def test_trigger_is_read_from_its_binding(bindings: tuple[dict[str, Any], ...], trigger: object) -> None:
    assert function_of(metadata(*bindings)).trigger == trigger


@pytest.mark.parametrize(
    ("described", "named"),
    [
        (metadata({"type": "blobTrigger"}), "trigger 'blobTrigger'"),
        (metadata({"type": "queueTrigger", "queueName": "q", "dataType": "binary"}), "'dataType'"),
        (
            metadata({"type": "httpTrigger"}, {"type": "queue", "name": "o"}),
            "binding 'queue' is not supported",
        ),
        (metadata({"type": "timerTrigger", "schedule": "x"}, retry=object()), "retry policy"),
        (metadata(HTTP_OUT), "exactly one trigger"),
        (metadata({"type": "httpTrigger", "authLevel": "SYSTEM"}), "auth level 'SYSTEM'"),
    ],
)
def test_binding_that_the_host_does_not_have_is_refused_by_name(described: SimpleNamespace, named: str) -> None:
    with pytest.raises(StartError, match=f"function f: .*{named}"):
        function_of(described)


def test_connection_may_be_a_connection_string() -> None:
    settings = AppSettings({"WORK": "UseDevelopmentStorage=true"})
    assert storage_connection(settings, "WORK") == StorageConnection(
        "WORK", connection_string="UseDevelopmentStorage=true"
    )


def test_connection_may_be_an_identity() -> None:
    settings = AppSettings(
        {
            "STATE__queueServiceUri": "https://a.queue.core.windows.net",
            "STATE__tableServiceUri": "https://a.table.core.windows.net",
            "STATE__credential": "managedidentity",
            "STATE__clientId": "id",
        }
    )
    assert storage_connection(settings, "STATE") == StorageConnection(
        "STATE", queue_uri="https://a.queue.core.windows.net", client_id="id"
    )


def test_name_of_an_account_stands_for_the_uris_that_are_not_set() -> None:
    """Azure/azure-functions-host, StorageServiceUriOptions: a URI "will be honored over the AccountName property"."""
    settings = AppSettings(
        {
            "AzureWebJobsStorage__accountName": "stsqin",
            "AzureWebJobsStorage__blobServiceUri": "https://a.blob.core.windows.net",
            "AzureWebJobsStorage__credential": "managedidentity",
        }
    )
    connection = storage_connection(settings, "")

    assert connection is not None
    assert connection.blob_uri == "https://a.blob.core.windows.net"
    assert connection.queue_uri == "https://stsqin.queue.core.windows.net"


def test_connection_without_a_name_is_the_hosts_storage() -> None:
    connection = storage_connection(AppSettings({"AzureWebJobsStorage": "x"}), "")
    assert connection is not None
    assert connection.name == "AzureWebJobsStorage"


def test_connection_without_settings_is_none() -> None:
    assert storage_connection(AppSettings({"OTHER": "x"}), "WORK") is None


@pytest.mark.parametrize(
    ("part", "value", "named"),
    [
        ("credential", "default", "S__credential must be managedidentity"),
        ("managedIdentityResourceId", "/x", "S__managedidentityresourceid is not supported"),
    ],
)
def test_unsupported_connection_is_refused(part: str, value: str, named: str) -> None:
    with pytest.raises(StartError, match=named):
        storage_connection(AppSettings({"S__queueServiceUri": "https://x", f"S__{part}": value}), "S")


def test_malformed_connection_string_is_named_without_its_value() -> None:
    connection = StorageConnection("WORK", connection_string="AccountKey=a-secret")
    with pytest.raises(StartError) as refused:
        StorageClients().queue(connection, "q")
    assert str(refused.value) == "app setting WORK is not a storage connection string"
    assert "a-secret" not in repr(connection)
