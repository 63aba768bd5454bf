"""Sweeps with a heartbeat: what each did is measured, and when the last one succeeded stands in the table.

Row `cursor!sweep` in the partition `fleet`: `lastSuccess`, what that sweep did, and since when the budget is used up.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from shared import telemetry
from shared.clock import Clock
from shared.domain import reasons
from shared.domain.fleet_alerts import FleetAlertType, fleet_alert, hour_of
from shared.domain.keys import FLEET_PARTITION
from shared.errors import InfrastructureFault
from shared.services.deadlines import Deadlines, SweepOutcome
from shared.services.ports import Alerts, Row, Table, Value, Write

HEARTBEAT: Final = "cursor!sweep"
PATIENCE: Final = timedelta(minutes=15)
"""A wave fills the budget for a few ticks; only what lasts longer needs a person."""

_log = logging.getLogger(__name__)


class Sweeps:
    """Sweeps, and says so."""

    def __init__(self, deadlines: Deadlines, table: Table, alerts: Alerts, clock: Clock) -> None:
        self._deadlines = deadlines
        self._table = table
        self._alerts = alerts
        self._clock = clock

    async def sweep(self) -> SweepOutcome:
        """One tick over all shards, and its heartbeat (one read and one write). Raises: InfrastructureFault."""
        outcome = await self._deadlines.sweep()
        _measure(outcome)
        await self._beat(outcome)
        return outcome

    async def _beat(self, outcome: SweepOutcome) -> None:
        now = self._clock.now()
        before = await self._table.get(FLEET_PARTITION, HEARTBEAT)
        since = _capacity_since(before, outcome, now)
        told = str(before.values.get("toldHour", "")) if before else ""
        if since is not None and now - since >= PATIENCE and told != hour_of(now):
            told = await self._tell(outcome, since, now) or told
        values: dict[str, Value] = {
            "lastSuccess": now,
            "examined": outcome.examined,
            "commands": outcome.commands,
            "overBudget": outcome.over_budget,
            "worstLagSeconds": int(outcome.worst_lag.total_seconds()),
            "toldHour": told,
        }
        if since is not None:
            values["atCapacitySince"] = since
        await self._table.commit(FLEET_PARTITION, [Write("upsert", Row(FLEET_PARTITION, HEARTBEAT, values))])
        telemetry.note(telemetry.SWEEP_AGE, 0)
        telemetry.note(telemetry.SWEEP_LAST_SUCCESS, now.timestamp())

    async def _tell(self, outcome: SweepOutcome, since: datetime, now: datetime) -> str | None:
        """The hour in which it was told; None where it could not be."""
        data = {
            "since": since.isoformat(timespec="seconds"),
            "waiting": str(outcome.over_budget),
            "commands": str(outcome.commands),
            "worstLagSeconds": str(int(outcome.worst_lag.total_seconds())),
        }
        try:
            await self._alerts.publish([fleet_alert(FleetAlertType.SWEEP_AT_CAPACITY, hour_of(now), now, data)])
        except InfrastructureFault as fault:  # the heart beats on; the next tick tells it
            _log.warning("sweeps are at capacity since %s, and that cannot be told: %s", since, fault)
            return None
        return hour_of(now)


def _capacity_since(before: Row | None, outcome: SweepOutcome, now: datetime) -> datetime | None:
    if not outcome.over_budget:
        return None
    known = before.values.get("atCapacitySince") if before else None
    return known if isinstance(known, datetime) else now


def _measure(outcome: SweepOutcome) -> None:
    telemetry.note(telemetry.SWEEP_EXAMINED, outcome.examined)
    telemetry.note(telemetry.SWEEP_ACTED, outcome.commands)
    telemetry.note(telemetry.SWEEP_AT_CAPACITY, outcome.over_budget)
    telemetry.note(telemetry.SWEEP_LAG, outcome.worst_lag.total_seconds())
    for reason, count in outcome.reasons.items():
        if reason != reasons.COMMAND_QUEUED:
            telemetry.note(telemetry.SWEEP_SKIPPED, count, {"reason": reason})
