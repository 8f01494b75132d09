"""How large a finding may be as an event, and what becomes of larger ones. Put Message: a message holds 64 KiB."""

import base64
import json
from dataclasses import replace

import pytest

from shared.cloud import event_grid
from shared.domain import event_size
from shared.domain.finding import Finding, merged
from shared.sas import Credential
from tests.support import samples
from tests.support.samples import leak

MESSAGE = 64 * 1024  # learn.microsoft.com, "Put Message"
CREDENTIAL = leak(samples.blob_sas())
EMOJI = "\U0001f511"  # 12 bytes as JSON without characters beyond ASCII


def finding(path: str, *others: str) -> Finding:
    """A finding whose secret has these readings."""
    [first] = reported(path)
    return first.with_readings(replace(CREDENTIAL, path=other) for other in others)


def reported(*paths: str) -> list[Finding]:
    credentials = [replace(CREDENTIAL, path=path) for path in paths]
    return [replace(samples.finding(), credential=one, fingerprint=one.fingerprint) for one in credentials]


def of_size(size: int) -> dict[str, object]:
    """The data of an event, of that many bytes."""
    data = samples.finding().to_data() | {"padding": ""}
    return data | {"padding": "x" * (size - event_size.size_of(data))}


def paths(found: tuple[Finding, ...]) -> list[str | None]:
    return [reading.path for each in found for reading in each.readings]


def test_largest_event_fits_a_message_in_base64() -> None:
    """With the longest source of the intake, and what Event Grid may add."""
    event = {
        "specversion": "1.0",
        "type": "Sasquash.Finding.Reported.v1",
        "source": f"/intake/{'s' * 200}",
        "id": "f" * 64,
        "subject": f"/findings/{'f' * 64}",
        "time": "2026-11-21T10:00:00.000000Z",
        "datacontenttype": "application/json",
        "data": of_size(event_size.LARGEST),
    }

    assert len(base64.b64encode(json.dumps(event).encode())) <= MESSAGE


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
def test_limit_is_exact(more: int, *, fits: bool) -> None:
    assert event_size.fits(of_size(event_size.LARGEST + more)) is fits


def test_size_is_that_of_what_is_sent() -> None:
    """azure-eventgrid sends the output of json.dumps, which escapes what is beyond ASCII."""
    assert event_size.size_of({"path": EMOJI}) == len(r'{"path": "\ud83d\udd11"}')


def test_readings_that_one_event_can_not_carry_are_in_the_next() -> None:
    wanted = [f"{EMOJI * 250}/{number}" for number in range(40)]
    parts = merged(reported(*wanted))

    assert len(parts) > 1
    assert all(event_size.fits(part.to_data()) for part in parts)
    assert paths(parts) == wanted


def test_finding_keeps_the_readings_that_fit() -> None:
    held = finding("models/a", EMOJI * 4096, "models/b").as_event_holds()
    assert held is not None

    assert paths((held,)) == ["models/a", "models/b"]


def test_finding_whose_first_reading_is_too_large_is_published_by_another() -> None:
    held = finding(EMOJI * 4096, "models/b").as_event_holds()
    assert held is not None

    assert (paths((held,)), held.fingerprint) == (["models/b"], finding("models/b").fingerprint)


def test_finding_without_any_reading_that_fits_is_none() -> None:
    assert finding(EMOJI * 4096).as_event_holds() is None


def test_finding_that_fits_is_the_same() -> None:
    one = finding("models/a", "models/b")

    assert one.as_event_holds() is one


def test_largest_credential_can_be_too_large_for_an_event() -> None:
    """So that the limit has a case: a path of 4096 characters, each of which is sent as two escapes."""
    largest = Credential.from_json(CREDENTIAL.to_json() | {"path": EMOJI * 4096})

    assert not event_size.fits(replace(samples.finding(), credential=largest).to_data())
    assert event_grid._LARGEST > event_size.LARGEST  # a request holds at least one
