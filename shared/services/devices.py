"""What operators ask of devices: lists, one device, and a renewal by hand."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass

from shared.clock import Clock
from shared.domain.applying import renewal_requested
from shared.domain.changes import Reduction
from shared.domain.record import Actor, DeviceRecord, State
from shared.errors import NotFound, NotPossible
from shared.services.deadlines import Deadlines
from shared.services.ports import Row
from shared.services.store import FleetStore


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLine:
    """A device in a list. valid_until: RFC 3339, None without a certificate."""

    device_id: str
    state: str
    reason: str
    hub: str
    valid_until: str | None
    thumbprint: str | None
    evidence: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Devices by expiry, the earliest first. `cursor` asks for the next page; None on the last."""

    devices: tuple[DeviceLine, ...]
    cursor: str | None


class Devices:
    """Reads devices and asks for renewals."""

    def __init__(self, store: FleetStore, deadlines: Deadlines, clock: Clock) -> None:
        self._store = store
        self._deadlines = deadlines
        self._clock = clock

    async def page(self, limit: int, cursor: str | None = None) -> Page:
        """At most `limit` devices behind the cursor: a merge of every shard's list."""
        shards = await asyncio.gather(*(self._rows(p, cursor or "", limit + 1) for p in self._store.partitions))
        rows = list(heapq.merge(*shards, key=lambda row: row.key))[: limit + 1]
        lines = tuple(_line(row) for row in rows[:limit])
        return Page(lines, rows[limit - 1].key if len(rows) > limit else None)

    async def show(self, device_id: str) -> DeviceRecord:
        """One device. Raises: NotFound."""
        stored = await self._store.load(device_id)
        if stored is None:
            raise NotFound("device", device_id)
        return stored.record

    async def renew(self, device_id: str, actor: Actor, reason: str) -> DeviceRecord:
        """Asks the device to renew now. A command that is in flight already gets its time first.

        Raises: NotFound, NotPossible.
        """
        now = self._clock.now()

        def ask(_: str, record: DeviceRecord | None) -> Reduction:
            return renewal_requested(_renewable(device_id, record), actor, reason, now)

        await self._store.update([device_id], ask)
        await self._deadlines.evaluate([device_id])
        return await self.show(device_id)

    async def _rows(self, partition: str, after: str, limit: int) -> list[Row]:
        return [row async for row in self._store.by_expiry(partition, after, limit)]


def _renewable(device_id: str, record: DeviceRecord | None) -> DeviceRecord:
    if record is None:
        raise NotFound("device", device_id)
    if record.state in (State.DISABLED, State.RETIRED):
        raise NotPossible(f"{device_id} is {record.state}: it cannot be asked to renew")
    if record.state is State.EXPIRED:
        raise NotPossible(f"{device_id} has expired: no command reaches it, it must register with DPS again")
    if record.certificate is None:
        raise NotPossible(f"{device_id} holds no certificate that is known: there is nothing to renew")
    return record


def _line(row: Row) -> DeviceLine:
    def text(name: str) -> str | None:
        value = row.values.get(name)
        return str(value) if value is not None else None

    return DeviceLine(
        device_id=str(row.values["deviceId"]),
        state=str(row.values["state"]),
        reason=str(row.values["reason"]),
        hub=str(row.values["hub"]),
        valid_until=text("validUntil"),
        thumbprint=text("thumbprint"),
        evidence=text("evidence"),
    )
