"""The rows `seen!{id}` and `contained!{id}`: the latest connection state of devices, and who is being shut out."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import batched
from typing import Final

from shared.domain import keys
from shared.domain.presence import Contained, Seen
from shared.errors import Conflict
from shared.services.ports import Row, Table, Value, Write

_TRANSACTION_LIMIT: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRow:
    """A device's row. told_at: when it was last told that the device is back. etag: None for a row that is new."""

    device_id: str
    hub: str
    seen: Seen
    told_at: datetime | None = None
    etag: str | None = field(default=None, compare=False)


class SeenRows:
    """Reads and writes them. `shards` is the table's."""

    def __init__(self, table: Table, shards: int) -> None:
        self._table = table
        self._shards = shards

    async def of(self, device_id: str) -> Seen | None:
        """The latest that was heard of the device's connection, or None."""
        row = await self._table.get(keys.shard_of(device_id, self._shards), keys.seen_key(device_id))
        return _seen_row(row).seen if row else None

    async def read(self, device_ids: Iterable[str]) -> dict[str, SeenRow]:
        """The rows of those devices that have one."""
        groups: dict[str, list[str]] = defaultdict(list)
        for device_id in device_ids:
            groups[keys.shard_of(device_id, self._shards)].append(keys.seen_key(device_id))
        answers = await asyncio.gather(*(self._table.get_many(p, wanted) for p, wanted in groups.items()))
        rows = [_seen_row(row) for answer in answers for row in answer.values()]
        return {row.device_id: row for row in rows}

    async def write(self, rows: Sequence[SeenRow]) -> set[str]:
        """Writes each row unless it has changed since it was read. Returns the devices of those that were not written.

        Many go in one transaction, which a single conflict undoes: its others are to be tried again too.
        """
        groups: dict[str, list[SeenRow]] = defaultdict(list)
        for row in rows:
            groups[keys.shard_of(row.device_id, self._shards)].append(row)
        batches = [
            (p, batch) for p, group in groups.items() for batch in batched(group, _TRANSACTION_LIMIT, strict=False)
        ]
        outcomes = await asyncio.gather(*(self._commit(partition, batch) for partition, batch in batches))
        return {device_id for outcome in outcomes for device_id in outcome}

    async def contained(self) -> Mapping[str, Contained]:
        """Everybody who is being shut out, by device id: one short range a shard."""
        shards = await asyncio.gather(*(self._contained_of(p) for p in keys.shard_names(self._shards)))
        return {device_id: contained for shard in shards for device_id, contained in shard}

    async def _contained_of(self, partition: str) -> list[tuple[str, Contained]]:
        rows = self._table.scan(partition, *keys.contained_range())
        return [(str(row.values["deviceId"]), _contained(row)) async for row in rows]

    async def _commit(self, partition: str, rows: Sequence[SeenRow]) -> list[str]:
        try:
            await self._table.commit(partition, [_write(partition, row) for row in rows])
        except Conflict:
            return [row.device_id for row in rows]
        return []


def _write(partition: str, row: SeenRow) -> Write:
    values: dict[str, Value] = {
        "deviceId": row.device_id,
        "hub": row.hub,
        "connected": row.seen.connected,
        "sequence": row.seen.sequence,
        "at": row.seen.at,
    }
    if row.told_at is not None:
        values["toldAt"] = row.told_at
    kind: Final = "insert" if row.etag is None else "replace"
    return Write(kind, Row(partition, keys.seen_key(row.device_id), values, row.etag))


def _seen_row(row: Row) -> SeenRow:
    values = row.values
    return SeenRow(
        device_id=str(values["deviceId"]),
        hub=str(values["hub"]),
        seen=Seen(bool(values["connected"]), str(values["sequence"]), _instant(values["at"])),
        told_at=_instant(values["toldAt"]) if "toldAt" in values else None,
        etag=row.etag,
    )


def _contained(row: Row) -> Contained:
    verified_at = row.values.get("verifiedAt")
    return Contained(
        _instant(row.values["requestedAt"]),
        _instant(verified_at) if verified_at else None,
        bool(row.values.get("isProven", True)),
    )


def _instant(value: Value) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} is no instant")
    return value
