"""`python -m shared.intake`: what it publishes of a scanner's report."""

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.messaging import CloudEvent

from shared.intake import __main__ as command
from tests.support import samples
from tests.support.samples import ENVIRONMENT


class Client:
    """A topic's client that records what it sends."""

    sent: list[CloudEvent[Any]]

    def __init__(self, *_: object, **options: object) -> None: ...

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def send(self, events: list[CloudEvent[Any]]) -> None:
        Client.sent += events


@pytest.fixture(autouse=True)
def _topic(monkeypatch: pytest.MonkeyPatch) -> None:
    Client.sent = []
    monkeypatch.setattr(command, "EventGridPublisherClient", Client)
    monkeypatch.setattr(command, "DefaultAzureCredential", Client)
    monkeypatch.setattr(command.redaction, "install", lambda: None)  # it is of the whole process
    monkeypatch.setenv("SASQUASH_TOPIC_ENDPOINT", ENVIRONMENT["SASQUASH_TOPIC_ENDPOINT"])


def piped(monkeypatch: pytest.MonkeyPatch, body: str) -> int:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(body.encode())))
    return command.main(["trufflehog"])


def test_token_that_is_paired_with_several_links_is_one_event_with_every_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, _, query = samples.blob_sas().partition("?")
    links = [address.replace("models/resnet.ckpt", path) for path in ("docs/a.pdf", "models/resnet.ckpt")]
    lines = [json.dumps({"DetectorName": "Azure", "Raw": url, "RawV2": f"{url}{query}"}) for url in links]

    assert piped(monkeypatch, "\n".join(lines)) == 0

    [event] = Client.sent
    assert event.data is not None
    paths = [event.data["credential"]["path"], *(one["path"] for one in event.data["candidates"])]
    assert paths == ["docs/a.pdf", "models/resnet.ckpt"]


def test_report_without_a_credential_publishes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert piped(monkeypatch, json.dumps({"Raw": "nothing"})) == 0
    assert Client.sent == []


def test_credential_that_no_event_holds_is_named_and_the_others_are_published(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shared.domain.event_size.LARGEST", 700)
    long = samples.blob_sas().replace("models/resnet.ckpt", f"models/{'r' * 700}")
    lines = [json.dumps({"DetectorName": "Azure", "Raw": text, "RawV2": text}) for text in (long, samples.blob_sas())]

    assert piped(monkeypatch, "\n".join(lines)) == 1

    results = [json.loads(line)["result"] for line in capsys.readouterr().out.splitlines()]
    assert results == ["invalid", "accepted"]
    assert len(Client.sent) == 1


def test_file_of_the_user_has_no_limit_of_items(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.dumps({"Raw": "nothing"})] * 10_001 + [json.dumps({"Raw": samples.account_sas()})]

    assert piped(monkeypatch, "\n".join(lines)) == 0
    assert len(Client.sent) == 1
    assert len(capsys.readouterr().out.splitlines()) == 10_002


def test_masked_report_is_published_from_the_files_that_it_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a.py").write_text(f"one\nurl = '{samples.account_sas()}'\n", encoding="utf-8")
    finding = {"Match": "REDACTED", "Secret": "REDACTED", "File": "a.py", "StartLine": 2, "EndLine": 2}
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(json.dumps([finding]).encode())))

    assert command.main(["gitleaks", "--root", str(tmp_path)]) == 0

    [event] = Client.sent
    assert event.data is not None
    assert event.data["credential"]["host"] == samples.leak(samples.account_sas()).host


def test_folder_that_is_none_publishes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"[]")))

    assert command.main(["gitleaks", "--root", str(tmp_path / "none")]) == 2
    assert "--root names no folder" in capsys.readouterr().err
