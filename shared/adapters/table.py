"""The fleet table on Azure Table Storage (locally Azurite).

Entities carry plain types only. An int beyond 32 bit travels as Int64, and comes back as a plain int.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.data.tables import EdmType, EntityProperty, TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from shared.adapters.faults import error_code, faults
from shared.errors import Conflict
from shared.services.ports import Row, Value, Write

SERVICE: Final = "table storage"
_PAGE: Final = 1000
"""A page holds no more (Azure docs: Query timeout and pagination)."""
_CONCURRENT_READS: Final = 32
_INT32: Final = range(-(2**31), 2**31)
_KEYS: Final = frozenset({"PartitionKey", "RowKey"})

type _Operation = tuple[str, Mapping[str, Any], Mapping[str, Any]]


class AzureTable:
    """One table. It is made where it is missing, before its first use."""

    def __init__(self, client: TableClient) -> None:
        self._client = client
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
        client = await self._ready()
        remaining = list(writes)
        while remaining:
            outcome = await self._submit(client, partition, remaining)
            if not isinstance(outcome, int):
                return outcome
            # Storage fails the whole transaction over a delete of what is gone already: leave that one out.
            remaining.pop(outcome)
        return {}

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def _submit(self, client: TableClient, partition: str, writes: Sequence[Write]) -> dict[str, str] | int:
        """Commits; answers the ETags, or the place of a delete that found no row and kept the rest unwritten."""
        with faults(SERVICE):
            try:
                answers = await client.submit_transaction([_operation(partition, write) for write in writes])
            except TableTransactionError as problem:
                index = int(problem.index)
                write = writes[index]
                if write.kind == "delete" and problem.status_code == 404:
                    return index
                if _lost_race(write, problem):
                    raise Conflict(f"row {partition}/{write.row.key} has changed") from problem
                raise
        return {w.row.key: str(a["etag"]) for w, a in zip(writes, answers, strict=True) if w.kind != "delete"}

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


def _lost_race(write: Write, problem: TableTransactionError) -> bool:
    match write.kind:
        case "insert":
            return error_code(problem) == "EntityAlreadyExists"
        case "replace":
            return problem.status_code in (404, 412)
        case _:
            return False


def _operation(partition: str, write: Write) -> _Operation:
    entity = _entity(partition, write.row)
    match write.kind:
        case "insert":
            return "create", entity, {}
        case "upsert":
            return "upsert", entity, {"mode": UpdateMode.REPLACE}
        case "delete":
            return "delete", {name: entity[name] for name in _KEYS}, {}
        case "replace":
            condition = {"etag": write.row.etag, "match_condition": MatchConditions.IfNotModified}
            return "update", entity, {"mode": UpdateMode.REPLACE, **condition}


def _entity(partition: str, row: Row) -> dict[str, Any]:
    values = {name: _to_edm(value) for name, value in row.values.items()}
    return {**values, "PartitionKey": partition, "RowKey": row.key}


def _row(entity: Mapping[str, Any]) -> Row:
    values = {name: _from_edm(value) for name, value in entity.items() if name not in _KEYS}
    metadata = getattr(entity, "metadata", {})
    return Row(entity["PartitionKey"], entity["RowKey"], values, metadata.get("etag"))


def _to_edm(value: Value) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value not in _INT32:
        return EntityProperty(value, EdmType.INT64)
    return value


def _from_edm(value: Any) -> Value:
    plain: Value = value.value if isinstance(value, EntityProperty) else value
    if isinstance(plain, datetime):  # the SDK's own subclass: it would travel into the domain and compare by its text
        return datetime.combine(plain.date(), plain.time(), UTC)
    return plain
