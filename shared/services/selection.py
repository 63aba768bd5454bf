"""Finding the devices that a selector chooses, a bounded number of rows at a time.

A tag, a group, an issuer or a state is looked for in the records of all shards, in the order of their keys; an expiry
in the rows that are ordered by it; ids are read one by one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain import keys
from shared.domain.record import DeviceRecord
from shared.domain.selecting import Action, Selector, obstacle
from shared.services.ports import Row, Table
from shared.services.rows import stored
from shared.services.store import FleetStore

PAGE: Final = 1000
"""Rows that the table gives in one answer (Azure docs: Table storage)."""


@dataclass(frozen=True, slots=True)
class Target:
    """A device that was chosen. state: None where no record is known. obstacle: why the action cannot be taken."""

    device_id: str
    state: str | None
    obstacle: str | None


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a look found. cursor: where the next goes on; None: there is nothing more."""

    targets: tuple[Target, ...]
    cursor: str | None


class Selection:
    """Looks for devices."""

    def __init__(self, table: Table, store: FleetStore) -> None:
        self._table = table
        self._store = store

    async def look(self, action: Action, selector: Selector, cursor: str | None = None, rows: int = PAGE) -> Chosen:
        """What `rows` rows from `cursor` on hold. Raises: InfrastructureFault."""
        if selector.ids:
            return await self._by_ids(action, selector.ids)
        partition, after = _place(cursor, self._store.partitions)
        low, high = _range(selector, after)
        found = [row async for row in self._table.scan(partition, low, high, rows)]
        targets = tuple(_target(action, r) for r in await self._records(selector, found) if selector.matches(r))
        if len(found) >= rows:
            return Chosen(targets, f"{partition} {found[-1].key}")
        following = self._store.partitions[self._store.partitions.index(partition) + 1 :]
        return Chosen(targets, f"{following[0]} " if following else None)

    async def pages(
        self, action: Action, selector: Selector, cursor: str | None = None, rows: int = PAGE
    ) -> AsyncIterator[Chosen]:
        """Looks that follow each other until `rows` rows were read or there is nothing more."""
        for _ in range(max(1, rows // PAGE) + len(self._store.partitions)):
            chosen = await self.look(action, selector, cursor)
            yield chosen
            if (cursor := chosen.cursor) is None:
                return

    async def _by_ids(self, action: Action, ids: Sequence[str]) -> Chosen:
        known = await self._store.load_many(ids, skip_broken=True)
        targets = [_target(action, known[i].record) if i in known else _stranger(action, i) for i in dict.fromkeys(ids)]
        return Chosen(tuple(targets), None)

    async def _records(self, selector: Selector, rows: Sequence[Row]) -> list[DeviceRecord]:
        if selector.expiring_before is None:
            return [stored(row).record for row in rows]
        ids = [str(row.values["deviceId"]) for row in rows]
        known = await self._store.load_many(ids, skip_broken=True)
        return [known[device_id].record for device_id in ids if device_id in known]


def _place(cursor: str | None, partitions: Sequence[str]) -> tuple[str, str]:
    partition, _, after = (cursor or f"{partitions[0]} ").partition(" ")
    return partition, after


def _range(selector: Selector, after: str) -> tuple[str, str]:
    if selector.expiring_before is None:
        return keys.device_range(after)
    return keys.expires_range(after)[0], keys.expires_until(selector.expiring_before)


def _target(action: Action, record: DeviceRecord) -> Target:
    return Target(record.device_id, record.state.value, obstacle(action, record))


def _stranger(action: Action, device_id: str) -> Target:
    """Nothing is known of it here. It can be shut out all the same where the hub knows it."""
    return Target(device_id, None, None if action == "disable" else "it is not known")
