"""The operations that the product and the functions host use: tested with Azurite and with storage in memory."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue.aio import QueueClient

from local.cloud.cloud import LocalCloud
from tests.support.storage_conformance import Place, azurite, memory

ROW: dict[str, Any] = {"PartitionKey": "p", "RowKey": "r", "Text": "it's", "Count": 3, "On": True}
UNMODIFIED = MatchConditions.IfNotModified


@pytest.fixture(params=["azurite", "memory"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "memory":
        return memory()
    cloud: LocalCloud = request.getfixturevalue("cloud")
    return azurite(cloud)


@pytest.fixture
async def table(place: Place) -> AsyncIterator[TableClient]:
    async with place.table() as client:
        await client.create_table()
        yield client
        await client.delete_table()


@pytest.fixture
async def queue(place: Place) -> AsyncIterator[QueueClient]:
    async with place.queue() as client:
        await client.create_queue()
        yield client
        await client.delete_queue()


@pytest.fixture
async def container(place: Place) -> AsyncIterator[ContainerClient]:
    async with place.container() as client:
        await client.create_container()
        yield client
        await client.delete_container()


async def rows(table: TableClient, query: str, **parameters: Any) -> list[str]:
    return [row["RowKey"] async for row in table.query_entities(query, parameters=parameters)]


async def fill(table: TableClient, *row_keys: str, partition: str = "p", **more: Any) -> None:
    for key in row_keys:
        await table.create_entity({"PartitionKey": partition, "RowKey": key, **more})


# --- tables


async def test_entity_is_read_as_it_was_written(table: TableClient) -> None:
    at = datetime(2026, 11, 20, 3, 0, 0, 123456, tzinfo=UTC)
    await table.create_entity(ROW | {"At": at})
    row = await table.get_entity("p", "r")
    assert {name: row[name] for name in (*ROW, "At")} == ROW | {"At": at}


async def test_entity_is_created_once(table: TableClient) -> None:
    answers = await asyncio.gather(*(table.create_entity(ROW) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(answer, ResourceExistsError) for answer in answers) == 4


async def test_created_entity_has_the_etag_that_it_is_read_with(table: TableClient) -> None:
    created = await table.create_entity(ROW)
    assert (await table.get_entity("p", "r")).metadata["etag"] == created["etag"]


async def test_missing_entity_is_not_found(table: TableClient) -> None:
    with pytest.raises(ResourceNotFoundError):
        await table.get_entity("p", "none")


async def test_missing_table_is_not_found(place: Place) -> None:
    async with place.table() as client:
        with pytest.raises(ResourceNotFoundError):
            await client.create_entity(ROW)


async def test_update_needs_the_current_etag(table: TableClient) -> None:
    etag = (await table.create_entity(ROW))["etag"]
    options: dict[str, Any] = {"mode": UpdateMode.REPLACE, "etag": etag, "match_condition": UNMODIFIED}
    answers = await asyncio.gather(
        *(table.update_entity(ROW | {"Count": n}, **options) for n in range(5)), return_exceptions=True
    )
    assert sum(isinstance(answer, ResourceModifiedError) for answer in answers) == 4


async def test_update_of_a_deleted_entity_is_not_found(table: TableClient) -> None:
    with pytest.raises(ResourceNotFoundError):
        await table.update_entity(ROW, mode=UpdateMode.REPLACE, etag='W/"x"', match_condition=UNMODIFIED)


async def test_replace_removes_and_merge_keeps_properties(table: TableClient) -> None:
    await table.upsert_entity(ROW, mode=UpdateMode.REPLACE)
    await table.upsert_entity({"PartitionKey": "p", "RowKey": "r", "Other": 1}, mode=UpdateMode.MERGE)
    merged = await table.get_entity("p", "r")
    await table.upsert_entity({"PartitionKey": "p", "RowKey": "r", "Other": 2}, mode=UpdateMode.REPLACE)
    replaced = await table.get_entity("p", "r")
    assert ("Text" in merged, merged["Other"], "Text" in replaced, replaced["Other"]) == (True, 1, False, 2)


async def test_deletion_needs_the_current_etag(table: TableClient) -> None:
    etag = (await table.create_entity(ROW))["etag"]
    await table.upsert_entity(ROW, mode=UpdateMode.REPLACE)
    with pytest.raises(ResourceModifiedError):
        await table.delete_entity("p", "r", etag=etag, match_condition=UNMODIFIED)
    await table.delete_entity("p", "r")
    assert await rows(table, "PartitionKey eq 'p'") == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("PartitionKey eq 'p'", ["a", "b~1", "b~2", "c's"]),
        ("PartitionKey eq 'p' and RowKey gt 'b~' and RowKey lt 'b~~'", ["b~1", "b~2"]),
        ("PartitionKey eq 'p' and RowKey eq 'c''s'", ["c's"]),
        ("Count ge 2", ["b~2", "c's"]),
        ("(RowKey eq 'a' or RowKey eq 'b~1') and not (RowKey eq 'a')", ["b~1"]),
        ("On eq true", ["a"]),
        ("At lt datetime'2026-11-20T03:00:02Z'", ["a", "b~1"]),
        ("Nothing gt ''", []),
    ],
)
async def test_query_finds(table: TableClient, query: str, found: list[str]) -> None:
    start = datetime(2026, 11, 20, 3, tzinfo=UTC)
    for number, key in enumerate(("a", "b~1", "b~2", "c's")):
        at = start + timedelta(seconds=number)
        await fill(table, key, Count=number, On=number == 0, At=at)
    assert sorted(await rows(table, query)) == found


async def test_parameters_of_the_query_are_quoted(table: TableClient) -> None:
    await fill(table, "it's", "other")
    assert await rows(table, "PartitionKey eq @p and RowKey eq @r", p="p", r="it's") == ["it's"]


async def test_rows_are_ordered_by_key(table: TableClient) -> None:
    await fill(table, "2", "10", "1")
    assert await rows(table, "PartitionKey eq 'p'") == ["1", "10", "2"]


async def test_pages_continue_where_the_last_one_ended(table: TableClient) -> None:
    await fill(table, *(f"{n:02}" for n in range(7)))
    pages = table.query_entities("PartitionKey eq 'p'", results_per_page=3).by_page()
    first = [row["RowKey"] async for row in await anext(pages)]
    rest = table.query_entities("PartitionKey eq 'p'", results_per_page=3).by_page(pages.continuation_token)
    others = [[row["RowKey"] async for row in page] async for page in rest]
    assert [first, *others] == [["00", "01", "02"], ["03", "04", "05"], ["06"]]


async def test_transaction_is_executed_whole(table: TableClient) -> None:
    etag = (await table.create_entity(ROW))["etag"]
    guard = {"mode": UpdateMode.REPLACE, "etag": etag, "match_condition": UNMODIFIED}
    history = {"PartitionKey": "p", "RowKey": "r~1", "Entry": "x"}
    answers = await table.submit_transaction([("update", ROW | {"Count": 4}, guard), ("create", history, {})])
    assert (await table.get_entity("p", "r")).metadata["etag"] == answers[0]["etag"]
    assert await rows(table, "PartitionKey eq 'p'") == ["r", "r~1"]


@pytest.mark.parametrize(("operation", "status"), [("create", 409), ("update", 412)])
async def test_transaction_with_a_refused_change_changes_nothing(
    table: TableClient, operation: str, status: int
) -> None:
    etag = (await table.create_entity(ROW))["etag"]
    await table.upsert_entity(ROW, mode=UpdateMode.REPLACE)
    guard = {"mode": UpdateMode.REPLACE, "etag": etag, "match_condition": UNMODIFIED} if operation == "update" else {}
    with pytest.raises(TableTransactionError) as caught:
        await table.submit_transaction([("create", ROW | {"RowKey": "new"}, {}), (operation, ROW, guard)])
    assert (caught.value.status_code, caught.value.index) == (status, 1)
    assert await rows(table, "PartitionKey eq 'p'") == ["r"]


# --- queues


async def test_message_is_received_as_sent(queue: QueueClient) -> None:
    await queue.send_message("<a & b>")
    message = await queue.receive_message(visibility_timeout=30)
    assert message is not None
    assert (message.content, message.dequeue_count) == ("<a & b>", 1)


async def test_received_message_is_hidden_from_others(queue: QueueClient) -> None:
    await queue.send_message("one")
    await queue.receive_message(visibility_timeout=30)
    assert await queue.receive_message() is None


async def test_delayed_message_is_hidden(queue: QueueClient) -> None:
    await queue.send_message("one", visibility_timeout=30)
    assert await queue.receive_message() is None


async def test_messages_are_received_in_a_batch(queue: QueueClient) -> None:
    for number in range(5):
        await queue.send_message(str(number))
    pages = queue.receive_messages(messages_per_page=3, visibility_timeout=30).by_page()
    assert [message.content async for message in await anext(pages)] == ["0", "1", "2"]


async def test_deleted_message_is_gone(queue: QueueClient) -> None:
    await queue.send_message("one")
    message = await queue.receive_message(visibility_timeout=30)
    assert message is not None
    await queue.delete_message(message)
    with pytest.raises(ResourceNotFoundError):
        await queue.delete_message(message)


async def test_renewed_message_has_a_new_receipt(queue: QueueClient) -> None:
    await queue.send_message("one")
    message = await queue.receive_message(visibility_timeout=30)
    assert message is not None
    renewed = await queue.update_message(message.id, message.pop_receipt, visibility_timeout=60)
    with pytest.raises(HttpResponseError):
        await queue.delete_message(message.id, message.pop_receipt)
    await queue.delete_message(message.id, renewed.pop_receipt)


async def test_released_message_is_received_again(queue: QueueClient) -> None:
    await queue.send_message("one")
    message = await queue.receive_message(visibility_timeout=30)
    assert message is not None
    await queue.update_message(message.id, message.pop_receipt, visibility_timeout=0)
    again = await queue.receive_message()
    assert again is not None
    assert (again.content, again.dequeue_count) == ("one", 2)


async def test_peeking_does_not_hide_messages(queue: QueueClient) -> None:
    await queue.send_message("one")
    seen = await queue.peek_messages()
    assert ([message.content for message in seen], await queue.receive_message() is not None) == (["one"], True)


async def test_missing_queue_is_not_found(place: Place) -> None:
    async with place.queue() as client:
        with pytest.raises(ResourceNotFoundError):
            await client.send_message("one")


# --- blobs


async def test_blob_is_read_as_it_was_written(container: ContainerClient) -> None:
    await container.upload_blob("a/b c.json", b"[1]")
    stream = await container.download_blob("a/b c.json")
    assert await stream.readall() == b"[1]"


async def test_empty_blob_is_read(container: ContainerClient) -> None:
    await container.upload_blob("empty", b"")
    assert await (await container.download_blob("empty")).readall() == b""


async def test_blob_is_replaced_only_with_overwrite(container: ContainerClient) -> None:
    await container.upload_blob("a", b"1")
    with pytest.raises(ResourceExistsError):
        await container.upload_blob("a", b"2")
    await container.upload_blob("a", b"3", overwrite=True)
    assert await (await container.download_blob("a")).readall() == b"3"


async def test_blobs_are_listed_by_prefix_in_order(container: ContainerClient) -> None:
    for name in ("x/2", "x/1", "y/1"):
        await container.upload_blob(name, b"x")
    listed = [(blob.name, blob.size) async for blob in container.list_blobs(name_starts_with="x/")]
    assert listed == [("x/1", 1), ("x/2", 1)]


async def test_listing_continues_after_a_full_page(container: ContainerClient) -> None:
    for number in range(5):
        await container.upload_blob(str(number), b"x")
    assert [blob.name async for blob in container.list_blobs(results_per_page=2)] == list("01234")


async def test_deleted_blob_is_gone(container: ContainerClient) -> None:
    await container.upload_blob("a", b"1")
    await container.delete_blob("a")
    with pytest.raises(ResourceNotFoundError):
        await container.download_blob("a")
    with pytest.raises(ResourceNotFoundError):
        await container.delete_blob("a")


async def test_lease_is_held_by_one(container: ContainerClient) -> None:
    await container.upload_blob("lock", b"")
    blob = container.get_blob_client("lock")
    lease = await blob.acquire_lease(15, lease_id=str(uuid.uuid4()))
    with pytest.raises(ResourceExistsError):
        await blob.acquire_lease(15, lease_id=str(uuid.uuid4()))
    await lease.renew()
    await lease.release()
    await (await blob.acquire_lease(15)).release()


async def test_leased_blob_is_written_only_by_its_holder(container: ContainerClient) -> None:
    blob = await container.upload_blob("lock", b"")
    lease = await blob.acquire_lease(15)
    with pytest.raises(HttpResponseError):
        await blob.upload_blob(b"x", overwrite=True)
    await blob.upload_blob(b"x", overwrite=True, lease=lease)
    await lease.release()
