"""History is kept for as long as a setting says; what is older goes, in steps that a cursor remembers.

The audit's blobs are not touched: they keep what history forgets, for as long as the container's policy says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import batched
from typing import Final

from shared.clock import Clock
from shared.domain import keys
from shared.services.ports import Row, Table, Write
from shared.services.store import TRANSACTION_LIMIT

STEPS: Final = 20
"""Pages that one run looks at."""
ROWS_A_STEP: Final = 1000
REST: Final = timedelta(days=1)
"""How long after a round through the table the next begins."""

_CURSOR: Final = "cursor!prune"
_LOW: Final = "history!"
_HIGH: Final = 'history"'


@dataclass(frozen=True, slots=True)
class PruneOutcome:
    """What a run did. finished: it came to the end of the table."""

    examined: int = 0
    removed: int = 0
    finished: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the next page begins: behind `after` ("" from the start) in `partition`, not before `rests_until`."""

    partition: str
    after: str = ""
    rests_until: datetime | None = None


class Pruning:
    """Removes history that is older than `retention`. partitions: the shards, in the order of the round."""

    def __init__(self, table: Table, partitions: Sequence[str], retention: timedelta, clock: Clock) -> None:
        self._table = table
        self._partitions = partitions
        self._retention = retention
        self._clock = clock

    async def prune(self) -> PruneOutcome:
        """Goes on where the last run ended, for at most `STEPS` pages; a row as old as `retention` stays.

        Two runs at once do the same work twice, and no harm. Raises: InfrastructureFault.
        """
        now = self._clock.now()
        place = await self._place()
        if place.rests_until is not None and now < place.rests_until:
            return PruneOutcome(finished=True)
        examined = removed = 0
        for _ in range(STEPS):
            page = await self._page(place)
            old = [row for row in page if _is_older(row, now - self._retention)]
            await self._remove(old)
            examined, removed = examined + len(page), removed + len(old)
            place = self._following(place, page, now)
            await self._remember(place)
            if place.rests_until is not None:
                return PruneOutcome(examined, removed, finished=True)
        return PruneOutcome(examined, removed)

    async def _page(self, place: _Place) -> list[Row]:
        low = f"{place.after} " if place.after else _LOW  # a space sorts below every character of a key
        return [row async for row in self._table.scan(place.partition, low, _HIGH, ROWS_A_STEP)]

    async def _remove(self, rows: Sequence[Row]) -> None:
        for batch in batched(rows, TRANSACTION_LIMIT, strict=False):
            await self._table.commit(batch[0].partition, [Write("delete", row) for row in batch])

    def _following(self, place: _Place, page: Sequence[Row], now: datetime) -> _Place:
        if len(page) == ROWS_A_STEP:
            return _Place(place.partition, page[-1].key)
        behind = self._partitions[self._partitions.index(place.partition) + 1 :]
        return _Place(behind[0]) if behind else _Place(self._partitions[0], rests_until=now + REST)

    async def _place(self) -> _Place:
        row = await self._table.get(keys.FLEET_PARTITION, _CURSOR)
        partition = str(row.values["partition"]) if row else ""
        if row is None or partition not in self._partitions:
            return _Place(self._partitions[0])
        rests_until = row.values.get("restsUntil")
        return _Place(partition, str(row.values["after"]), rests_until if isinstance(rests_until, datetime) else None)

    async def _remember(self, place: _Place) -> None:
        rest = {"restsUntil": place.rests_until} if place.rests_until else {}
        row = Row(keys.FLEET_PARTITION, _CURSOR, {"partition": place.partition, "after": place.after, **rest})
        await self._table.commit(keys.FLEET_PARTITION, [Write("upsert", row)])


def _is_older(row: Row, cutoff: datetime) -> bool:
    """Whether what the row tells happened before `cutoff`; a row that does not say when is left alone."""
    at = row.values.get("at")
    return isinstance(at, datetime) and at < cutoff
