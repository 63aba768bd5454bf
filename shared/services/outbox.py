"""The table is the outbox: what has to leave is stored first, then sent, then confirmed.

Whoever dies in between leaves a deadline behind, at which the sweep sends the same ids again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta

from shared.domain.alerts import Alert
from shared.domain.applying import confirmed
from shared.domain.changes import Reduction
from shared.domain.record import DeviceRecord
from shared.errors import FleetcertError, InfrastructureFault
from shared.logs import about
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

    async def dispatch(
        self, written: Sequence[Stored], delays: Mapping[str, timedelta] | None = None, *, with_work: bool = True
    ) -> None:
        """Sends and confirms what was just written. `delays` holds commands back, by device id.

        with_work: False where the caller is doing the queued work itself and has alerts alone to send. A service that
        fails delays its own part until the outbox's deadline; nothing is lost, so nothing is raised.
        """
        outgoing = {s.record.device_id: s for s in written if s.record.dispatch_by is not None}
        if not outgoing:
            return
        records = [stored.record for stored in outgoing.values()]
        work = self._queue(records, delays or {}) if with_work else _nothing_to_queue(records)
        told, queued = await asyncio.gather(self._tell(records), work)
        left = {r.device_id for r in records if r.device_id in queued or any(a.id in told for a in r.pending)}

        def confirm(device_id: str, record: DeviceRecord | None) -> Reduction | None:
            sent = outgoing[device_id].record
            return Reduction(confirmed(record, sent, told, device_id in queued)) if record else None

        try:
            await self._store.update(left, confirm, {d: outgoing[d] for d in left})
        except FleetcertError as fault:
            _log.warning("outbox of %d devices is confirmed later: %s", len(left), fault)

    async def _tell(self, records: Sequence[DeviceRecord]) -> set[str]:
        """The ids of the alerts that have left, or never can."""
        alerts = [alert for record in records for alert in record.pending]
        try:
            if alerts:
                await self._alerts.publish(alerts)
        except InfrastructureFault as fault:
            _log.warning("%d alerts wait for the outbox's deadline: %s", len(alerts), fault)
            return set()
        except FleetcertError as refusal:
            _log.warning("Event Grid refuses %d alerts together, they are sent one by one: %s", len(alerts), refusal)
            return {alert.id for alert in alerts if await self._told_alone(alert)}
        return {alert.id for alert in alerts}

    async def _told_alone(self, alert: Alert) -> bool:
        try:
            await self._alerts.publish([alert])
        except InfrastructureFault:
            return False
        except FleetcertError:  # no retry helps: the log is the last place where it can be told
            fields = about(device_id=alert.data.get("deviceId"), event_id=alert.id)
            _log.exception("alert %s (%s) of %s cannot be told", alert.id, alert.type, alert.subject, extra=fields)
        return True

    async def _queue(self, records: Sequence[DeviceRecord], delays: Mapping[str, timedelta]) -> set[str]:
        """The devices whose work has reached the queues, those without any among them."""
        results = await asyncio.gather(*(self._queued(r, delays.get(r.device_id, timedelta())) for r in records))
        return {record.device_id for record, is_queued in zip(records, results, strict=True) if is_queued}

    async def _queued(self, record: DeviceRecord, delay: timedelta) -> bool:
        try:
            if record.command is not None and record.command.sent_at is None:
                await self._commands.put({"deviceId": record.device_id, "commandId": record.command.id}, delay)
            if record.has_containment_work:
                await self._containment.put({"deviceId": record.device_id})
        except FleetcertError as fault:
            fields = about(device_id=record.device_id)
            _log.warning("the work of %s waits for the outbox's deadline: %s", record.device_id, fault, extra=fields)
            return False
        return True


async def _nothing_to_queue(records: Sequence[DeviceRecord]) -> set[str]:
    return {record.device_id for record in records}
