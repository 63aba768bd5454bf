"""What operators ask of a device: what is known of it, and a renewal by hand."""

from __future__ import annotations

from datetime import datetime

from shared.clock import Clock
from shared.domain.applying import renewal_requested
from shared.domain.changes import Reduction
from shared.domain.record import Actor, DeviceRecord
from shared.domain.selecting import obstacle
from shared.errors import NotFound, NotPossible
from shared.services.conditions import Condition, whatever_stands
from shared.services.deadlines import Deadlines
from shared.services.store import FleetStore


class Devices:
    """Reads a device and asks it to renew."""

    def __init__(self, store: FleetStore, deadlines: Deadlines, clock: Clock) -> None:
        self._store = store
        self._deadlines = deadlines
        self._clock = clock

    async def show(self, device_id: str) -> DeviceRecord:
        """One device. Raises: NotFound."""
        stored = await self._store.load(device_id)
        if stored is None:
            raise NotFound("device", device_id)
        return stored.record

    async def renew(
        self,
        device_id: str,
        actor: Actor,
        reason: str,
        condition: Condition = whatever_stands,
        *,
        asked_at: datetime | None = None,
        is_again: bool = False,
    ) -> DeviceRecord:
        """Asks the device to renew now. A command that is in flight already gets its time first.

        asked_at: the instant that the request is known by. is_again: the same request may have been heard already; a
        certificate that came since has answered it. Raises: NotFound, NotPossible, PreconditionFailed.
        """
        at = asked_at or self._clock.now()

        def ask(_: str, record: DeviceRecord | None) -> Reduction | None:
            condition(record)
            if is_again and record and record.certificate and record.certificate.first_seen >= at:
                return None
            return renewal_requested(_renewable(device_id, record), actor, reason, at)

        await self._store.update([device_id], ask)
        await self._deadlines.evaluate([device_id])
        return await self.show(device_id)


def _renewable(device_id: str, record: DeviceRecord | None) -> DeviceRecord:
    if record is None:
        raise NotFound("device", device_id)
    if (against := obstacle("renew", record)) is not None:
        raise NotPossible(f"{device_id} cannot be asked to renew: {against}")
    return record
