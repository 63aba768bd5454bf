"""When an issuing CA is rotated or revoked, its devices are decided on ahead of their deadlines, at the fleet's pace.

The walk over the fleet's list is bounded in each step and goes on from its cursor; a fleet without a rotation costs a
point read and the issuers' rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from shared.clock import Clock
from shared.domain.changes import Reduction
from shared.domain.keys import FLEET_PARTITION
from shared.domain.record import DeviceRecord, State
from shared.services.pacing import Budget
from shared.services.ports import CircumstancesNow, Row, Table, Value, Write
from shared.services.store import FleetStore

PAGE: Final = 1000
PAGES_A_STEP: Final = 20
CURSOR: Final = "cursor!rotation"


@dataclass(frozen=True, slots=True)
class _Walk:
    """How far the walk for these issuers has come. shard: its number; key: the last row; placed: devices so far."""

    issuers: str = ""
    shard: int = 0
    key: str = ""
    placed: int = 0
    etag: str | None = None


class Rotation:
    """Brings forward the deadlines of devices whose issuing CA is not the current one."""

    def __init__(
        self, store: FleetStore, table: Table, circumstances: CircumstancesNow, budget: Budget, clock: Clock
    ) -> None:
        self._store = store
        self._table = table
        self._circumstances = circumstances
        self._budget = budget
        self._clock = clock

    async def step(self) -> int:
        """Goes on with the walk, if one is due; returns how many devices were brought forward.

        Raises: InfrastructureFault; Conflict where another instance walks.
        """
        circumstances = await self._circumstances.current()
        wanted = circumstances.rotated | circumstances.revoked
        walk = await self._walk()
        name = " ".join(sorted(wanted))
        if walk.issuers != name:
            walk = _Walk(issuers=name, etag=walk.etag)
        before = walk.placed
        for _ in range(PAGES_A_STEP if wanted else 0):
            if walk.shard >= len(self._store.partitions):
                break
            walk = await self._page(walk, wanted)
        await self._remember(walk)
        return walk.placed - before

    async def _page(self, walk: _Walk, wanted: frozenset[str]) -> _Walk:
        partition = self._store.partitions[walk.shard]
        rows = [row async for row in self._store.by_expiry(partition, walk.key, PAGE)]
        found = [str(row.values["deviceId"]) for row in rows if row.values.get("authorityKeyId") in wanted]
        await self._bring_forward(found, walk.placed)
        if len(rows) < PAGE:
            return replace(walk, shard=walk.shard + 1, key="", placed=walk.placed + len(found))
        return replace(walk, key=rows[-1].key, placed=walk.placed + len(found))

    async def _bring_forward(self, device_ids: Sequence[str], placed: int) -> None:
        """Each has its own slot, so that a fleet under one CA is not decided on in one tick."""
        now = self._clock.now()
        slots = {d: now + self._budget.delay(placed + place) for place, d in enumerate(device_ids)}
        await self._store.update(device_ids, lambda d, record: _brought_forward(record, slots[d]))

    async def _walk(self) -> _Walk:
        row = await self._table.get(FLEET_PARTITION, CURSOR)
        if row is None:
            return _Walk()
        values = row.values
        shard, placed = int(str(values["shard"])), int(str(values["placed"]))
        return _Walk(str(values["issuers"]), shard, str(values["key"]), placed, row.etag)

    async def _remember(self, walk: _Walk) -> None:
        values: dict[str, Value] = {
            "issuers": walk.issuers,
            "shard": walk.shard,
            "key": walk.key,
            "placed": walk.placed,
        }
        row = Row(FLEET_PARTITION, CURSOR, values, walk.etag)
        await self._table.commit(FLEET_PARTITION, [Write("replace" if walk.etag else "insert", row)])


def _brought_forward(record: DeviceRecord | None, slot: datetime) -> Reduction | None:
    if record is None or record.containment is not None or record.state in (State.RETIRED, State.EXPIRED):
        return None
    if record.next_deadline is not None and record.next_deadline <= slot:
        return None
    return Reduction(replace(record, next_deadline=slot))
