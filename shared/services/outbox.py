"""The table is the outbox: what has to leave is stored first, then sent, then confirmed.

Whoever dies in between leaves a deadline behind, at which the sweep sends the same ids again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta

from shared.domain.applying import confirmed
from shared.domain.changes import Reduction
from shared.domain.record import DeviceRecord
from shared.errors import InfrastructureFault
from shared.services.ports import Alerts, WorkQueue
from shared.services.rows import Stored
from shared.services.store import FleetStore

_log = logging.getLogger(__name__)


class Outbox:
    """Sends what records have pending: alerts to Event Grid, work to the queues."""

    def __init__(self, store: FleetStore, alerts: Alerts, commands: WorkQueue, containment: WorkQueue) -> None:
        self._store = store
        self._alerts = alerts
        self._commands = commands
        self._containment = containment

    async def dispatch(self, written: Sequence[Stored], delays: Mapping[str, timedelta] | None = None) -> None:
        """Sends and confirms what was just written. `delays` holds commands back, by device id.

        A service that fails delays what is pending until its deadline; nothing is lost, so nothing is raised.
        """
        outgoing = {s.record.device_id: s for s in written if s.record.dispatch_by is not None}
        if not outgoing:
            return
        try:
            await self._send([s.record for s in outgoing.values()], delays or {})
            await self._store.update(outgoing, lambda d, record: _confirm(record, outgoing[d].record), outgoing)
        except InfrastructureFault as fault:
            _log.warning("outbox of %d devices waits for its deadline: %s", len(outgoing), fault)

    async def _send(self, records: Sequence[DeviceRecord], delays: Mapping[str, timedelta]) -> None:
        alerts = [alert for record in records for alert in record.pending]
        if alerts:
            await self._alerts.publish(alerts)
        await asyncio.gather(
            *(self._command(r, delays.get(r.device_id, timedelta())) for r in records if _has_command(r)),
            *(self._containment.put({"deviceId": r.device_id}) for r in records if _is_being_contained(r)),
        )

    async def _command(self, record: DeviceRecord, delay: timedelta) -> None:
        if record.command is not None:
            await self._commands.put({"deviceId": record.device_id, "commandId": record.command.id}, delay)


def _confirm(record: DeviceRecord | None, dispatched: DeviceRecord) -> Reduction | None:
    return Reduction(confirmed(record, dispatched)) if record else None


def _has_command(record: DeviceRecord) -> bool:
    return record.command is not None and record.command.sent_at is None


def _is_being_contained(record: DeviceRecord) -> bool:
    return record.containment is not None and not record.containment.is_verified
