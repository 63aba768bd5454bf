"""Operations in the fleet table: `op!{id}`, and `running!{id}` beside it until the operation has been done with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import batched
from typing import Final

import msgspec

from shared.domain import keys
from shared.domain.keys import FLEET_PARTITION
from shared.domain.operations import Operation, operation_id
from shared.errors import Conflict
from shared.services.ports import Row, Table, Value, Write

CHUNK: Final = 30_000
"""Characters of one property; a property may have 32 Ki (Azure docs: Table storage)."""
_PRUNED_AT_ONCE: Final = 100

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Operation)


@dataclass(frozen=True, slots=True)
class StoredOperation:
    """An operation as it was read or written, with the ETag that the next write must meet."""

    operation: Operation
    etag: str


class OperationRows:
    """Reads and writes them."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def insert(self, operation: Operation) -> bool:
        """Stores a new one; whether it is new: False where one of its id is known already."""
        writes = [Write("insert", _row(operation)), Write("upsert", _running_row(operation.id))]
        try:
            await self._table.commit(FLEET_PARTITION, writes)
        except Conflict:
            return False
        return True

    async def load(self, operation_id: str) -> StoredOperation | None:
        """One operation, or None."""
        row = await self._table.get(FLEET_PARTITION, keys.operation_key(operation_id))
        return StoredOperation(_operation(row), row.etag or "") if row else None

    async def save(self, operation: Operation, etag: str) -> StoredOperation:
        """Stores how it stands now. Raises: Conflict where somebody else wrote first."""
        key = keys.operation_key(operation.id)
        etags = await self._table.commit(FLEET_PARTITION, [Write("replace", _row(operation, etag))])
        return StoredOperation(operation, etags[key])

    async def done_with(self, operation_id: str) -> None:
        """Nothing is left to do for it."""
        await self._table.commit(FLEET_PARTITION, [Write("delete", _running_row(operation_id))])

    async def page(self, limit: int, after: str = "") -> list[Operation]:
        """At most `limit` operations behind the id `after`, the newest first."""
        low, high = keys.operation_range(after)
        return [_operation(row) async for row in self._table.scan(FLEET_PARTITION, low, high, limit)]

    async def not_done_with(self) -> list[str]:
        """The ids of all that need another step."""
        low, high = keys.running_range()
        return [str(row.values["operationId"]) async for row in self._table.scan(FLEET_PARTITION, low, high)]

    async def prune(self, created_before: datetime) -> int:
        """Forgets operations that are older, some at a time; how many it were."""
        low, high = keys.operation_range(operation_id(created_before, ""))
        rows = [row async for row in self._table.scan(FLEET_PARTITION, low, high, _PRUNED_AT_ONCE)]
        ended = [row.key for row in rows if not _operation(row).is_running]
        await self._delete(ended)
        return len(ended)

    async def _delete(self, row_keys: Iterable[str]) -> None:
        for batch in batched(row_keys, _PRUNED_AT_ONCE, strict=False):
            await self._table.commit(FLEET_PARTITION, [Write("delete", Row(FLEET_PARTITION, k, {})) for k in batch])


def _row(operation: Operation, etag: str | None = None) -> Row:
    text = _ENCODER.encode(operation).decode()
    values: dict[str, Value] = {f"operation{at // CHUNK}": text[at : at + CHUNK] for at in range(0, len(text), CHUNK)}
    values |= {"kind": operation.kind.value, "state": operation.state.value, "createdAt": operation.created_at}
    return Row(FLEET_PARTITION, keys.operation_key(operation.id), values, etag)


def _operation(row: Row) -> Operation:
    parts = (row.values.get(f"operation{n}") for n in range(len(row.values)))
    return _DECODER.decode("".join(str(part) for part in parts if part is not None))


def _running_row(identifier: str) -> Row:
    return Row(FLEET_PARTITION, keys.running_key(identifier), {"operationId": identifier})
