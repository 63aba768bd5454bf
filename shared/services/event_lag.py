"""Whether the event hubs are read at all: a trigger that is never called tells nothing of itself.

Of each partition two numbers are looked at: how far the Functions host has got, and what the last event is. Where
events wait and the first number stands still from one look to the next, nobody reads. The row `cursor!event-lag` in the
partition `fleet` remembers since when.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from shared import telemetry
from shared.clock import Clock
from shared.contracts import format_instant, parse_instant
from shared.domain.alerts import Alert
from shared.domain.fleet_alerts import FleetAlertType, fleet_alert, hour_of
from shared.domain.keys import FLEET_PARTITION
from shared.errors import FleetcertError
from shared.services.intake import STALLED_AFTER
from shared.services.ports import Alerts, Row, Table, Write

_ROW: Final = "cursor!event-lag"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a partition is read. processed: the checkpoint's sequence number (None: none yet); last: the last
    event's (-1: the partition is empty)."""

    partition: str
    processed: int | None
    last: int

    @property
    def waiting(self) -> int:
        """How many events wait; all of a partition that was never read count, those that have left it included."""
        return max(self.last - (-1 if self.processed is None else self.processed), 0)


class EventPositions(Protocol):
    """An event hub and the checkpoints of those who read it."""

    @property
    def name(self) -> str:
        """The event hub's."""

    async def read(self) -> Sequence[Position]:
        """Of every partition."""


@dataclass(frozen=True, slots=True)
class _Standstill:
    processed: int | None
    since: datetime


class EventLag:
    """Looks at all event hubs, measures, and tells once an hour and hub (`RecordingStalled`) that one is not read."""

    def __init__(self, table: Table, hubs: Sequence[EventPositions], alerts: Alerts, clock: Clock) -> None:
        self._table = table
        self._hubs = hubs
        self._alerts = alerts
        self._clock = clock

    async def look(self) -> list[str]:
        """The event hubs that are not read. One that cannot be asked is logged, and as it was at the last look.

        Raises: InfrastructureFault.
        """
        now = self._clock.now()
        before = _remembered(await self._table.get(FLEET_PARTITION, _ROW))
        after: dict[str, _Standstill] = {}
        alerts: list[Alert] = []
        for hub in self._hubs:
            positions = await self._positions(hub)
            still = _kept(before, hub) if positions is None else _standing_still(hub.name, positions, before, now)
            after |= still
            alerts += _stalled(hub.name, positions or (), still, now)
        if alerts:
            await self._alerts.publish(alerts)
        if after != before:
            row = Row(FLEET_PARTITION, _ROW, {"partitions": _written(after), "at": now})
            await self._table.commit(FLEET_PARTITION, [Write("upsert", row)])
        return [str(alert.data["eventHub"]) for alert in alerts]

    async def _positions(self, hub: EventPositions) -> Sequence[Position] | None:
        try:
            positions = await hub.read()
        except FleetcertError as fault:
            _log.warning("how far %s is read cannot be told: %s", hub.name, fault)
            return None
        telemetry.note(telemetry.EVENTS_WAITING, sum(p.waiting for p in positions), {"hub": hub.name})
        return positions


def _standing_still(
    hub: str, positions: Sequence[Position], before: Mapping[str, _Standstill], now: datetime
) -> dict[str, _Standstill]:
    """The partitions in which events wait, and since when each has stood where it stands."""
    still = {}
    for position in positions:
        if not position.waiting:
            continue
        known = before.get(key := f"{hub}/{position.partition}")
        same = known is not None and known.processed == position.processed
        still[key] = known if known is not None and same else _Standstill(position.processed, now)
    return still


def _kept(before: Mapping[str, _Standstill], hub: EventPositions) -> dict[str, _Standstill]:
    return {key: standstill for key, standstill in before.items() if key.startswith(f"{hub.name}/")}


def _stalled(hub: str, positions: Sequence[Position], still: Mapping[str, _Standstill], now: datetime) -> list[Alert]:
    """One alert for the hub, of the partition that has stood the longest."""
    stalled = [(s.since, p) for p in positions if (s := still.get(f"{hub}/{p.partition}")) is not None]
    since, worst = min(stalled, key=lambda item: item[0], default=(now, None))
    if worst is None or now - since < STALLED_AFTER:
        return []
    data = {
        "eventHub": hub,
        "partition": worst.partition,
        "sequenceNumber": str(-1 if worst.processed is None else worst.processed),
        "waiting": str(sum(p.waiting for p in positions)),
        "ageSeconds": str(int((now - since).total_seconds())),
    }
    return [fleet_alert(FleetAlertType.RECORDING_STALLED, f"{hub}/{hour_of(now)}", now, data)]


def _remembered(row: Row | None) -> dict[str, _Standstill]:
    if row is None:
        return {}
    document = json.loads(str(row.values["partitions"]))
    return {key: _Standstill(processed, parse_instant(since)) for key, (processed, since) in document.items()}


def _written(still: Mapping[str, _Standstill]) -> str:
    return json.dumps({key: (s.processed, format_instant(s.since)) for key, s in sorted(still.items())})
