"""What bulk operations do to each device: ask it to renew, or shut it out, as by hand and at the throttles' pace."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from shared.clock import Clock
from shared.domain.applying import renewal_requested
from shared.domain.changes import Reduction
from shared.domain.operations import DeviceFailure, Operation
from shared.domain.record import DeviceRecord, State
from shared.domain.selecting import Action, obstacle
from shared.errors import NotFound, NotPossible
from shared.services.bulk_work import Turn
from shared.services.containment import Containment
from shared.services.deadlines import Deadlines
from shared.services.ledger import Ledger
from shared.services.store import FleetStore

_UNKNOWN: Final = "it is not known"


class RenewMany:
    """Asks devices to renew. Sweeps and requests by hand go by the same ledger of commands, and before it."""

    action: Final[Action] = "renew"

    def __init__(self, store: FleetStore, deadlines: Deadlines, ledger: Ledger, clock: Clock) -> None:
        self._store = store
        self._deadlines = deadlines
        self._ledger = ledger
        self._clock = clock

    async def turn(self) -> Turn:
        """As many as the present minute has places."""
        return await _turn(self._ledger, self._clock)

    async def do(self, operation: Operation, device_ids: Sequence[str]) -> list[DeviceFailure]:
        """See `Work`. A device that was asked by this operation, or has renewed since it began, is not asked again."""
        failures: dict[str, DeviceFailure] = {}

        def ask(device_id: str, record: DeviceRecord | None) -> Reduction | None:
            failures.pop(device_id, None)
            if record is not None and _has_been_asked(record, operation):
                return None
            against = obstacle("renew", record) if record else _UNKNOWN
            if record is None or against is not None:
                failures[device_id] = DeviceFailure(device_id, against or _UNKNOWN)
                return None
            now = self._clock.now()
            return renewal_requested(record, operation.actor, operation.reason, now, operation.id)

        await self._store.update(device_ids, ask)
        await self._deadlines.evaluate([device_id for device_id in device_ids if device_id not in failures])
        return list(failures.values())

    async def going_on(self, operation: Operation, device_ids: Sequence[str]) -> int:
        """None: a device renews in its own time, and what becomes of its command is in its history."""
        return 0


class DisableMany:
    """Shuts devices out. ledger: of the identity registry, whose throttle is the narrowest."""

    action: Final[Action] = "disable"

    def __init__(self, store: FleetStore, containment: Containment, ledger: Ledger, clock: Clock) -> None:
        self._store = store
        self._containment = containment
        self._ledger = ledger
        self._clock = clock

    async def turn(self) -> Turn:
        """As many as the present minute has places. They are taken at once, since each is used."""
        return await _turn(self._ledger, self._clock)

    async def do(self, operation: Operation, device_ids: Sequence[str]) -> list[DeviceFailure]:
        """See `Work`. A device that is being shut out already stays as it is."""
        now = self._clock.now()
        minute = await self._ledger.open(now)
        for _ in device_ids:
            minute.take(now)
        await self._ledger.book(minute, now)
        outcomes = await asyncio.gather(*(self._disable(operation, d) for d in device_ids), return_exceptions=True)
        for outcome in outcomes:  # all have ended before one is raised
            if isinstance(outcome, BaseException):
                raise outcome
        return [outcome for outcome in outcomes if isinstance(outcome, DeviceFailure)]

    async def going_on(self, operation: Operation, device_ids: Sequence[str]) -> int:
        """For how many the hub and DPS have not been told yet. When each was seen gone is in its history."""
        known = await self._store.load_many(device_ids, skip_broken=True)
        return sum(_is_on_its_way(stored.record) for stored in known.values())

    async def _disable(self, operation: Operation, device_id: str) -> DeviceFailure | None:
        try:
            await self._containment.disable(device_id, operation.actor, operation.reason, operation_id=operation.id)
        except (NotFound, NotPossible) as refusal:
            return DeviceFailure(device_id, str(refusal))
        return None


async def _turn(ledger: Ledger, clock: Clock) -> Turn:
    now = clock.now()
    minute = await ledger.open(now)
    return Turn(minute.room, minute.rest(now))


def _has_been_asked(record: DeviceRecord, operation: Operation) -> bool:
    request, certificate = record.renewal_request, record.certificate
    if request is not None and request.operation_id == operation.id:
        return True
    return certificate is not None and certificate.first_seen > operation.created_at


def _is_on_its_way(record: DeviceRecord) -> bool:
    containment = record.containment
    if containment is None or containment.release is not None or record.state is State.RETIRED:
        return False
    return containment.hub_rechecked_at is None
