"""What happened to a device, read page by page, the newest first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain import keys
from shared.domain.record import Actor
from shared.errors import NotFound
from shared.services.ports import Row, Table
from shared.services.rows import actor_of


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """One change, as its row tells it."""

    at: datetime
    kind: str
    actor: Actor
    reason: str
    details: Mapping[str, str]
    event_id: str


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Changes, the newest first. `cursor` asks for the older ones; None on the last page."""

    lines: tuple[HistoryLine, ...]
    cursor: str | None


class Histories:
    """Reads histories. shards: the number of the table's."""

    def __init__(self, table: Table, shards: int) -> None:
        self._table = table
        self._shards = shards

    async def page(self, device_id: str, limit: int, cursor: str | None = None) -> HistoryPage:
        """At most `limit` changes behind the cursor, a key of this device's history.

        A device that is retired has a history too. Raises: NotFound, InfrastructureFault.
        """
        partition = keys.shard_of(device_id, self._shards)
        known, rows = await asyncio.gather(
            self._table.get(partition, keys.device_key(device_id)), self._rows(partition, device_id, limit + 1, cursor)
        )
        if known is None:
            raise NotFound("device", device_id)
        cursor = rows[limit - 1].key if len(rows) > limit else None
        return HistoryPage(tuple(_line(row) for row in rows[:limit]), cursor)

    async def _rows(self, partition: str, device_id: str, limit: int, cursor: str | None) -> Sequence[Row]:
        low, high = keys.history_range(device_id)
        low = max(low, keys.behind(cursor)) if cursor else low
        return [row async for row in self._table.scan(partition, low, high, limit)]


def _line(row: Row) -> HistoryLine:
    values = row.values
    at = values["at"]
    if not isinstance(at, datetime):
        raise TypeError(f"{row.key}: at is no instant")
    return HistoryLine(
        at=at,
        kind=str(values["kind"]),
        actor=actor_of(row),
        reason=str(values["reason"]),
        details=json.loads(str(values["details"])),
        event_id=str(values["eventId"]),
    )
