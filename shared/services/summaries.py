"""The fleet at a glance: the last snapshot, which is one read, and what is due today, live."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.clock import Clock
from shared.domain.keys import DUE, FLEET_PARTITION, due_until, unescape
from shared.domain.snapshot import Tally
from shared.services.ports import Row, Table
from shared.services.snapshots import LATEST, read_snapshot
from shared.services.store import FleetStore

FIRST_DUE: Final = 100


@dataclass(frozen=True, slots=True)
class DueLine:
    """A device that must be decided on, and when."""

    device_id: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Summary:
    """snapshot None: none was taken yet. due: until the end of the day (UTC), the longest overdue first."""

    snapshot: Tally | None
    due: tuple[DueLine, ...]
    more_due: bool


class Summaries:
    """Reads the summary: one point read, and one page of deadlines a shard, whatever the size of the fleet."""

    def __init__(self, store: FleetStore, table: Table, clock: Clock) -> None:
        self._store = store
        self._table = table
        self._clock = clock

    async def summary(self) -> Summary:
        """The fleet now. Raises: InfrastructureFault."""
        now = self._clock.now()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        latest, shards = await asyncio.gather(
            self._table.get(FLEET_PARTITION, LATEST),
            asyncio.gather(*(self._due(p, midnight - timedelta(seconds=1)) for p in self._store.partitions)),
        )
        rows = list(heapq.merge(*shards, key=lambda row: row.key))
        return Summary(
            read_snapshot(latest) if latest is not None else None,
            tuple(_line(row) for row in rows[:FIRST_DUE]),
            len(rows) > FIRST_DUE,
        )

    async def _due(self, partition: str, until: datetime) -> list[Row]:
        """One more than is shown, so that it is known whether there are more."""
        return [row async for row in self._table.scan(partition, DUE, due_until(until), FIRST_DUE + 1)]


def _line(row: Row) -> DueLine:
    stamp, _, escaped = row.key.removeprefix(DUE).partition("!")
    return DueLine(unescape(escaped), datetime.strptime(f"{stamp}+0000", "%Y%m%dT%H%M%S%z"))
