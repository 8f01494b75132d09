"""The kind of a token by its parameters, and its signed resource."""

from datetime import UTC, datetime

import pytest

from shared.sas.classify import kind_of, moment, resource_of
from shared.sas.kinds import Kind, ResourceKind, Service

V = {"sv": "2022-11-02"}
UD = V | {"skoid": "o", "sktid": "t", "sks": "b"}
BLOB_HOST = "acct.blob.core.windows.net"
QUEUE_HOST = "acct.queue.core.windows.net"


@pytest.mark.parametrize(
    ("parameters", "host", "kind"),
    [
        (V | {"ss": "b", "srt": "o"}, None, Kind.ACCOUNT_SAS),
        (V | {"sr": "b", "sp": "r"}, None, Kind.SERVICE_SAS),
        (V | {"sr": "c", "si": "p"}, BLOB_HOST, Kind.POLICY_SAS),
        (V | {"tn": "t"}, "acct.table.core.windows.net", Kind.SERVICE_SAS),
        (V | {"tn": "t"}, None, Kind.SERVICE_SAS),
        (V | {"sp": "r"}, QUEUE_HOST, Kind.SERVICE_SAS),
        (V, QUEUE_HOST, Kind.SERVICE_SAS),
        (V | {"si": "p"}, None, Kind.POLICY_SAS),
        (V | {"sp": "r"}, "10.0.0.4", Kind.SERVICE_SAS),
        (UD | {"sr": "b"}, None, Kind.USER_DELEGATION_SAS),
        (UD | {"sp": "r", "sks": "q"}, QUEUE_HOST, Kind.USER_DELEGATION_SAS),
        ({"sr": "c", "si": "p"}, BLOB_HOST, Kind.POLICY_SAS),
        ({"sr": "b", "se": "2030-01-01"}, BLOB_HOST, Kind.SERVICE_SAS),
        (V | {"sr": "c"}, "cdn.contoso.example", Kind.SERVICE_SAS),
    ],
)
def test_kinds(parameters: dict[str, str], host: str | None, kind: Kind) -> None:
    assert kind_of(parameters, host=host) is kind


@pytest.mark.parametrize(
    ("parameters", "host"),
    [
        ({"sv": "1.0", "sp": "/triggers/manual/run"}, None),
        (V | {"sp": "/triggers/manual/run"}, None),
        (V | {"sr": "https://x.servicebus.windows.net/q"}, None),
        (V | {"tn": "t"}, "acct.table.cosmos.azure.com"),
        (V | {"tn": "t"}, "cdn.contoso.example"),
        (V | {"sp": "r"}, "cdn.contoso.example"),
        (V | {"sp": "r"}, BLOB_HOST),
        (V, None),
        (V, "localhost"),
        (V | {"ss": "b"}, BLOB_HOST),
        (V | {"ss": "x", "srt": "o"}, BLOB_HOST),
        (V | {"ss": "b", "srt": "o", "sr": "b"}, BLOB_HOST),
        ({"ss": "b", "srt": "o"}, BLOB_HOST),
        ({"sr": "b", "se": "soon"}, BLOB_HOST),
        ({"sr": "b", "se": "2030-01-01"}, None),
        ({"sr": "f", "si": "p"}, BLOB_HOST),
        (V | {"sr": "b", "skoid": "o"}, BLOB_HOST),
    ],
)
def test_tokens_of_other_services_have_no_kind(parameters: dict[str, str], host: str | None) -> None:
    assert kind_of(parameters, host=host) is None


@pytest.mark.parametrize(
    ("parameters", "host", "path", "expected"),
    [
        ({"sr": "b"}, BLOB_HOST, "c12/a/b", (Service.BLOB, ResourceKind.BLOB, "c12", "a/b")),
        ({"sr": "b"}, BLOB_HOST, "x.txt", (Service.BLOB, ResourceKind.BLOB, "$root", "x.txt")),
        ({"sr": "b"}, None, None, (Service.BLOB, ResourceKind.BLOB, None, None)),
        ({"sr": "c"}, BLOB_HOST, "c12/a/b", (Service.BLOB, ResourceKind.CONTAINER, "c12", None)),
        ({"sr": "c"}, BLOB_HOST, "index.html", (Service.BLOB, ResourceKind.CONTAINER, "$root", None)),
        ({"sr": "d", "sdd": "2"}, BLOB_HOST, "c12/a/b/c", (Service.BLOB, ResourceKind.DIRECTORY, "c12", "a/b")),
        ({"sr": "d", "sdd": "0"}, BLOB_HOST, "c12/a", (Service.BLOB, ResourceKind.DIRECTORY, "c12", "")),
        ({"sr": "d", "sdd": "9"}, BLOB_HOST, "c12/a", (Service.BLOB, ResourceKind.DIRECTORY, "c12", None)),
        ({"sr": "d", "sdd": "x"}, BLOB_HOST, "c12/a", (Service.BLOB, ResourceKind.DIRECTORY, "c12", None)),
        ({"sr": "bs"}, BLOB_HOST, "c12/a", (Service.BLOB, ResourceKind.BLOB_SNAPSHOT, "c12", "a")),
        ({"sr": "bv"}, BLOB_HOST, "c12/a", (Service.BLOB, ResourceKind.BLOB_VERSION, "c12", "a")),
        ({"sr": "s"}, "acct.file.core.windows.net", "s12/a", (Service.FILE, ResourceKind.SHARE, "s12", None)),
        ({"sr": "f"}, "acct.file.core.windows.net", "s12/a/b", (Service.FILE, ResourceKind.FILE, "s12", "a/b")),
        ({"sr": "f"}, "acct.file.core.windows.net", "s12", (Service.FILE, ResourceKind.FILE, "s12", None)),
        ({"tn": "tab"}, None, "Tab(PartitionKey='x')", (Service.TABLE, ResourceKind.TABLE, "Tab", None)),
        ({"tn": "tab"}, None, "other", (Service.TABLE, ResourceKind.TABLE, "tab", None)),
        ({"sp": "p"}, QUEUE_HOST, "q12/messages", (Service.QUEUE, ResourceKind.QUEUE, "q12", None)),
        ({"sp": "p"}, None, None, (Service.QUEUE, ResourceKind.QUEUE, None, None)),
        ({"sr": "b"}, "10.0.0.4", "acct/c12/b", (Service.BLOB, ResourceKind.BLOB, "c12", "b")),
    ],
)
def test_signed_resources(
    parameters: dict[str, str], host: str | None, path: str | None, expected: tuple[object, ...]
) -> None:
    resource = resource_of(Kind.SERVICE_SAS, V | parameters, host=host, path=path)
    assert (resource.service, resource.kind, resource.container, resource.path) == expected


@pytest.mark.parametrize(
    ("letters", "service"), [("t", Service.TABLE), ("bb", Service.BLOB), ("bq", Service.MULTIPLE)]
)
def test_account_token_opens_what_its_letters_say(letters: str, service: Service) -> None:
    resource = resource_of(Kind.ACCOUNT_SAS, V | {"ss": letters, "srt": "o"}, host=None, path="c/b")
    assert (resource.service, resource.kind, resource.container) == (service, ResourceKind.ACCOUNT, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2030-01-02", datetime(2030, 1, 2, tzinfo=UTC)),
        ("2030-01-02T03:04Z", datetime(2030, 1, 2, 3, 4, tzinfo=UTC)),
        ("2030-01-02T03:04:05Z", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2030-01-02T03:04:05.1234567Z", datetime(2030, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ("2030-01-02T03:04:05+02:00", datetime(2030, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("2030-01-02T03:04:05", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2030-02-30", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("20300102", None),
        ("1795219200", None),
        ("", None),
        (None, None),
    ],
)
def test_moments(text: str | None, expected: datetime | None) -> None:
    assert moment(text) == expected
