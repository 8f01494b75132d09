"""The data plane in memory for ARM: implements `local.tenant.model.Tables`."""

from local.memory.storage import MemoryStorage


class MemoryDataPlane:
    """The tables and containers of every account of a `MemoryStorage`."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage

    async def table_name(self, account: str, name: str) -> str | None:
        """Return the name as it was created; None if there is no such table."""
        made = self._storage.tables(account).tables
        return next((known for known in made if known.lower() == name.lower()), None)

    async def create_table(self, account: str, name: str) -> None:
        self._storage.tables(account).create(name)

    async def delete_table(self, account: str, name: str) -> None:
        self._storage.tables(account).tables.pop(name, None)

    async def containers(self, account: str) -> dict[str, str]:
        """Return the public access level of each container: always "None" in memory."""
        return dict.fromkeys(self._storage.blobs(account).containers, "None")
