"""Empties tables for tests that read more than their own rows: all tests of a process share one local cloud."""

import asyncio

from azure.data.tables.aio import TableClient


async def delete_rows(*tables: TableClient, where: str = "PartitionKey gt ''") -> None:
    """Delete the rows of `tables` that the OData filter `where` selects: by default, all."""
    for table in tables:
        keys = [(row["PartitionKey"], row["RowKey"]) async for row in table.query_entities(where)]
        await asyncio.gather(*(table.delete_entity(*key) for key in keys))
