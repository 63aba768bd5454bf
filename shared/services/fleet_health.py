"""What waits for a person: dead letters, poison queues, and a sweep that does not beat any more.

Row `cursor!health` in the partition `fleet` holds the counts of the last look: growth is told, a height is not.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol

from shared import telemetry
from shared.clock import Clock
from shared.domain.alerts import Alert
from shared.domain.fleet_alerts import FleetAlertType, fleet_alert
from shared.domain.keys import FLEET_PARTITION
from shared.services.event_lag import EventLag, EventPositions
from shared.services.ports import Alerts, Row, Table, Write
from shared.services.suppressions import Suppressions
from shared.services.sweeps import HEARTBEAT

_COUNTS: Final = "cursor!health"

_log = logging.getLogger(__name__)


class Backlog(Protocol):
    """A place where failed work waits."""

    @property
    def name(self) -> str:
        """Of the container or the queue."""

    @property
    def kind(self) -> Literal["dead-letters", "poison"]:
        """What waits there."""

    async def count(self) -> int:
        """How many wait, as far as a bounded number of requests can tell."""


@dataclass(frozen=True, slots=True)
class FleetHealth:
    """What a look found. waiting: by container or queue. sweep_age: since the last sweep; None: there was none.

    stalled: the event hubs that nobody reads.
    """

    waiting: Mapping[str, int]
    sweep_age: timedelta | None
    alerts: int
    stalled: Sequence[str] = ()


class HealthWatch:
    """Looks, measures and tells."""

    def __init__(
        self,
        table: Table,
        backlogs: Sequence[Backlog],
        alerts: Alerts,
        suppressions: Suppressions,
        clock: Clock,
        event_hubs: Sequence[EventPositions] = (),
    ) -> None:
        self._events = EventLag(table, event_hubs, alerts, clock)
        self._table = table
        self._backlogs = backlogs
        self._alerts = alerts
        self._suppressions = suppressions
        self._clock = clock

    async def look(self) -> FleetHealth:
        """One look. What is told leaves before the counts are stored. Raises: InfrastructureFault."""
        now = self._clock.now()
        counts = await asyncio.gather(*(backlog.count() for backlog in self._backlogs))
        waiting = {backlog.name: count for backlog, count in zip(self._backlogs, counts, strict=True)}
        known = await self._table.get_many(FLEET_PARTITION, [_COUNTS, HEARTBEAT])
        before = _counts(known.get(_COUNTS))
        alerts = [a for b in self._backlogs if (a := _growth(b, before, waiting, now)) is not None]
        if alerts:
            await self._alerts.publish(alerts)
        if waiting != before:
            row = Row(FLEET_PARTITION, _COUNTS, {"counts": json.dumps(waiting), "at": now})
            await self._table.commit(FLEET_PARTITION, [Write("upsert", row)])
        age = _age(known.get(HEARTBEAT), now)
        self._measure(waiting, age)
        await self._suppressions.prune()
        return FleetHealth(waiting, age, len(alerts), await self._events.look())

    def _measure(self, waiting: Mapping[str, int], sweep_age: timedelta | None) -> None:
        for backlog in self._backlogs:
            if backlog.kind == "poison":
                telemetry.note(telemetry.POISON_WAITING, waiting[backlog.name], {"queue": backlog.name})
            else:
                telemetry.note(telemetry.DEAD_LETTERS_WAITING, waiting[backlog.name])
        if sweep_age is not None:
            telemetry.note(telemetry.SWEEP_AGE, sweep_age.total_seconds())


def _growth(backlog: Backlog, before: Mapping[str, int], waiting: Mapping[str, int], now: datetime) -> Alert | None:
    was, count = before.get(backlog.name, 0), waiting[backlog.name]
    if count <= was:
        return None
    is_poison = backlog.kind == "poison"
    kind = FleetAlertType.POISON_GROWING if is_poison else FleetAlertType.DEAD_LETTER_GROWING
    data = {"queue" if is_poison else "container": backlog.name, "count": str(count), "before": str(was)}
    _log.warning("%s grew from %d to %d", backlog.name, was, count)
    # Between two looks it can grow by the same numbers only after it shrank: the day tells those apart well enough.
    return fleet_alert(kind, f"{backlog.name}/{was}/{count}/{now.date().isoformat()}", now, data)


def _counts(row: Row | None) -> dict[str, int]:
    if row is None:
        return {}
    counts: dict[str, Any] = json.loads(str(row.values["counts"]))
    return {name: int(count) for name, count in counts.items()}


def _age(heartbeat: Row | None, now: datetime) -> timedelta | None:
    last = heartbeat.values.get("lastSuccess") if heartbeat else None
    return now - last if isinstance(last, datetime) else None
