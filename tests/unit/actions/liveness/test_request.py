"""The one request in which a leaked token is sent: where to, and that it brings nothing back."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from azure.storage.blob import generate_blob_sas, generate_container_sas
from azure.storage.fileshare import generate_file_sas, generate_share_sas
from azure.storage.queue import generate_queue_sas

from shared.actions.liveness import CannotBeAsked, question_for
from shared.sas import Service
from tests.support import samples
from tests.support.liveness import (
    BLOB,
    END,
    FILE,
    ID,
    ISSUER,
    QUEUE,
    TABLE,
    Plane,
    ask,
    blob,
    delegation_key,
    leak,
    with_parameter,
)
from tests.support.samples import ACCOUNT, NOW, TENANT


def container() -> str:
    token = generate_container_sas(
        ACCOUNT, "models", user_delegation_key=delegation_key(), permission="rl", expiry=END
    )
    return f"{BLOB}/models/resnet.ckpt?{token}"


def directory(path: str) -> str:
    """Only the Data Lake client makes these; who signed it makes no difference to what is asked."""
    token = container().partition("?")[2].replace("sr=c", f"sr=d&sdd={len(path.split('/'))}")
    return f"https://{ACCOUNT}.dfs.core.windows.net/models/{path}/deeper/x.bin?{token}"


def snapshot() -> str:
    token = generate_blob_sas(
        ACCOUNT,
        "models",
        "a.bin",
        snapshot="2026-11-20T00:00:00.0000000Z",
        user_delegation_key=delegation_key(),
        permission="r",
        expiry=END,
    )
    return f"{BLOB}/models/a.bin?snapshot=2026-11-20T00:00:00.0000000Z&{token}"


def share() -> str:
    token = generate_share_sas(
        ACCOUNT, "team", None, user_delegation_key=delegation_key("f"), permission="r", expiry=END
    )
    return f"{FILE}/team/docs/a.txt?{token}"


def file() -> str:
    token = generate_file_sas(
        ACCOUNT,
        "team",
        ["docs", "a b.txt"],
        None,
        user_delegation_key=delegation_key("f"),
        permission="r",
        expiry=END,
    )
    return f"{FILE}/team/docs/a%20b.txt?{token}"


def queue() -> str:
    token = generate_queue_sas(
        ACCOUNT, "jobs", None, user_delegation_key=delegation_key("q"), permission="r", expiry=END
    )
    return f"{QUEUE}/jobs/messages?{token}"


def table() -> str:
    """No client library makes these yet; who signed it makes no difference to what is asked."""
    of_queue = queue().partition("?")[2].replace("sks=q", "sks=t")
    return f"{TABLE}/People(PartitionKey='a',RowKey='b')?tn=people&{of_queue}"


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (blob(), f"GET {BLOB}/models/resnet.ckpt?comp=metadata"),
        (blob("data/a b+c?.bin"), f"GET {BLOB}/models/data/a%20b%2Bc%3F.bin?comp=metadata"),
        (snapshot(), f"GET {BLOB}/models/a.bin?comp=metadata"),
        (container(), f"GET {BLOB}/models/sasquash{ID}?comp=metadata"),
        (directory("data/2026"), f"GET {BLOB}/models/data/2026/sasquash{ID}?comp=metadata"),
        (file(), f"GET {FILE}/team/docs/a%20b.txt?comp=metadata"),
        (share(), f"GET {FILE}/team/sasquash{ID}?comp=metadata"),
        (queue(), f"GET {QUEUE}/jobs?comp=metadata"),
        (table(), f"GET {TABLE}/People(PartitionKey='sasquash{ID}',RowKey='sasquash{ID}')"),
    ],
    ids=["blob", "odd name", "snapshot", "container", "directory", "file", "share", "queue", "table"],
)
async def test_token_is_sent_once_where_it_brings_back_nothing_of_the_customers(
    plane: Plane, text: str, asked: str
) -> None:
    await ask(plane, text)

    [request] = plane.requests
    separator = "&" if "?" in asked else "?"
    assert f"{request.method} {request.url}" == f"{asked}{separator}{leak(text).token}"
    assert plane.closed == 1


def test_root_of_a_container_is_a_directory_too() -> None:
    credential = leak(directory("data")).credential
    in_root = replace(
        credential, parameters=tuple((n, "0" if n == "sdd" else value) for n, value in credential.parameters)
    )

    assert question_for(in_root, samples.account(), name="x", now=NOW).url == f"{BLOB}/models/x?comp=metadata"


@pytest.mark.parametrize(
    "host",
    [f"{ACCOUNT}-secondary.blob.core.windows.net", f"{ACCOUNT}.privatelink.blob.core.windows.net", "cdn.example"],
)
async def test_token_goes_to_the_account_s_own_endpoint_and_never_to_the_host_that_leaked(
    plane: Plane, host: str
) -> None:
    await ask(plane, blob().replace(f"{ACCOUNT}.blob.core.windows.net", host))

    assert [urlsplit(request.url).netloc for request in plane.requests] == [f"{ACCOUNT}.blob.core.windows.net"]


@pytest.mark.parametrize("endpoint", [None, "http://robustmodels.blob.core.windows.net/"])
async def test_without_an_https_endpoint_the_token_stays_here(plane: Plane, endpoint: str | None) -> None:
    account = replace(samples.account(), endpoints={Service.BLOB: endpoint} if endpoint else {})

    answer = await ask(plane, blob(), account=account)

    assert (answer.alive, answer.said) == (None, "It was not tried: robustmodels has no blob service.")
    assert plane.requests == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (with_parameter(blob(), sduoid=ISSUER), "bound to a user"),
        (with_parameter(blob(), skdutid=TENANT), "bound to a user"),
        (with_parameter(blob(), srh="x-ms-meta-a"), "bound to the headers or the query"),
        (with_parameter(blob(), srq="comp"), "bound to the headers or the query"),
        (with_parameter(blob(), st="2026-11-21T10:00:01Z"), "not valid before 2026-11-21 10:00 UTC"),
        (blob().replace("skt=2026-11-20T00%3A00%3A00Z", "skt=2026-11-22"), "not valid before 2026-11-22 00:00 UTC"),
        (snapshot().replace("snapshot=2026-11-20T00:00:00.0000000Z&", ""), "lost the snapshot"),
        (blob().replace("sr=b", "sr=bv"), "lost the versionid"),
        (blob().replace("/models/resnet.ckpt", "/"), "lost the path"),
        (container().replace("/models/resnet.ckpt", "/"), "lost the path"),
        (directory("data/2026").replace("/models/data/2026/deeper/x.bin", "/models/data"), "lost the path"),
        (blob().replace("resnet.ckpt", "a/../../b"), "can't be sent as it is"),
        (blob().replace("resnet.ckpt", "./a"), "can't be sent as it is"),
    ],
)
async def test_token_that_would_be_refused_for_want_of_what_the_leak_does_not_show_is_not_sent(
    plane: Plane, text: str, why: str
) -> None:
    answer = await ask(plane, text)

    assert (answer.at, answer.alive) == (NOW, None)
    assert answer.said.startswith("It was not tried: ")
    assert why in answer.said
    assert plane.requests == []


def test_token_that_has_begun_is_asked() -> None:
    begun = leak(with_parameter(blob(), st="2026-11-21T10:00:00Z")).credential

    assert question_for(begun, samples.account(), name="x", now=NOW).url == f"{BLOB}/models/resnet.ckpt?comp=metadata"
    with pytest.raises(CannotBeAsked):
        question_for(begun, samples.account(), name="x", now=NOW - timedelta(seconds=1))
