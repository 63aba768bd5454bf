"""The fleet table on Azure Table Storage (locally Azurite).

Entities carry plain types only. An int beyond 32 bit travels as Int64, and comes back as a plain int.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.data.tables import EntityProperty
from azure.data.tables.aio import TableClient

from shared.adapters.faults import error_code, fault_of_status, faults
from shared.adapters.transactions import TransactionRefused, Transactions
from shared.errors import Conflict
from shared.services.ports import Row, Value, Write

SERVICE: Final = "table storage"
_PAGE: Final = 1000
"""A page holds no more (Azure docs: Query timeout and pagination)."""
_CONCURRENT_READS: Final = 32
_ABSENT: Final = frozenset({"ResourceNotFound", "EntityNotFound"})
_KEYS: Final = frozenset({"PartitionKey", "RowKey"})


class AzureTable:
    """One table. It is made where it is missing, before its first use."""

    def __init__(self, client: TableClient) -> None:
        self._client = client
        self._transactions = Transactions(client.url, client.table_name, client.credential)
        self._exists = False
        self._reads = asyncio.Semaphore(_CONCURRENT_READS)

    @classmethod
    def from_connection_string(cls, connection_string: str, table: str) -> AzureTable:
        """The table in the account of a connection string."""
        return cls(TableClient.from_connection_string(connection_string, table))

    @classmethod
    def from_endpoint(cls, endpoint: str, table: str, credential: AsyncTokenCredential) -> AzureTable:
        """The table behind `https://{account}.table.core.windows.net`, by identity."""
        return cls(TableClient(endpoint, table, credential=credential))

    async def get(self, partition: str, key: str) -> Row | None:
        """The row, or None."""
        client = await self._ready()
        with faults(SERVICE):
            try:
                return _row(await client.get_entity(partition, key))
            except ResourceNotFoundError as problem:
                if error_code(problem) == "TableNotFound":
                    raise
                return None

    async def get_many(self, partition: str, keys: Sequence[str]) -> dict[str, Row]:
        """Point reads, at most 32 at a time. Keys without a row are absent from the answer."""
        rows = await asyncio.gather(*(self._bounded_get(partition, key) for key in dict.fromkeys(keys)))
        return {row.key: row for row in rows if row is not None}

    async def scan(self, partition: str, low: str, high: str, limit: int | None = None) -> AsyncIterator[Row]:
        """The rows with low <= key < high in the order of their keys, at most `limit`; pages are fetched as needed."""
        if limit == 0:
            return
        client = await self._ready()
        pages = client.query_entities(
            "PartitionKey eq @partition and RowKey ge @low and RowKey lt @high",
            parameters={"partition": partition, "low": low, "high": high},
            results_per_page=min(limit or _PAGE, _PAGE),
        )
        count = 0
        with faults(SERVICE):
            async for entity in pages:
                yield _row(entity)
                count += 1
                if count == limit:
                    return

    async def commit(self, partition: str, writes: Sequence[Write]) -> dict[str, str]:
        """All of the writes (1 to 100, distinct keys) or none, as one entity-group transaction.

        The new ETags of what was written, by key. Raises: Conflict.
        """
        await self._ready()
        remaining = list(writes)
        while remaining:
            outcome = await self._submit(partition, remaining)
            if not isinstance(outcome, int):
                return outcome
            # Storage fails the whole transaction over a delete of what is gone already: leave that one out.
            remaining.pop(outcome)
        return {}

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()
        await self._transactions.close()

    async def _submit(self, partition: str, writes: Sequence[Write]) -> dict[str, str] | int:
        """Commits; answers the ETags, or the place of a delete that found no row and kept the rest unwritten."""
        with faults(SERVICE):
            try:
                return await self._transactions.submit(partition, writes)
            except TransactionRefused as refused:
                write = writes[refused.place]
                if write.kind == "delete" and refused.code in _ABSENT:
                    return refused.place
                if _lost_race(write, refused):
                    raise Conflict(f"row {partition}/{write.row.key} has changed") from refused
                raise fault_of_status(SERVICE, refused.status, {}, refused.detail) from refused

    async def _bounded_get(self, partition: str, key: str) -> Row | None:
        async with self._reads:
            return await self.get(partition, key)

    async def _ready(self) -> TableClient:
        if not self._exists:
            with faults(SERVICE):
                try:
                    await self._client.create_table()
                except HttpResponseError as problem:
                    if error_code(problem) != "TableAlreadyExists":
                        raise
            self._exists = True
        return self._client


def _lost_race(write: Write, refused: TransactionRefused) -> bool:
    match write.kind:
        case "insert":
            return refused.code == "EntityAlreadyExists"
        case "replace":
            return refused.status == 412 or refused.code in _ABSENT
        case _:
            return False


def _row(entity: Mapping[str, Any]) -> Row:
    values = {name: _from_edm(value) for name, value in entity.items() if name not in _KEYS}
    metadata = getattr(entity, "metadata", {})
    return Row(entity["PartitionKey"], entity["RowKey"], values, metadata.get("etag"))


def _from_edm(value: Any) -> Value:
    plain: Value = value.value if isinstance(value, EntityProperty) else value
    if isinstance(plain, datetime):  # the SDK's own subclass: it would travel into the domain and compare by its text
        return datetime.combine(plain.date(), plain.time(), UTC)
    return plain
