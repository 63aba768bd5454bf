"""Events as they come from the hubs: recorded, and their age watched.

What a function can see is the age of the events that reach it, when it begins with them. A trigger that is not called
at all sees nothing: that shows in the event hub's own metrics (incoming against outgoing messages).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from shared import telemetry
from shared.clock import Clock
from shared.domain.envelope import Envelope
from shared.domain.fleet_alerts import FleetAlertType, fleet_alert, hour_of
from shared.errors import InfrastructureFault
from shared.services.ports import Alerts
from shared.services.recording import Recording

STALLED_AFTER: Final = timedelta(minutes=5)
_UNKNOWN: Final = datetime.min.replace(tzinfo=UTC)

_log = logging.getLogger(__name__)


class Intake:
    """Records batches, and tells once an hour and hub (`RecordingStalled`) that they come late.

    Each instance remembers for itself what it told; the alert's id is the same for all of them.
    """

    def __init__(self, recording: Recording, alerts: Alerts, clock: Clock) -> None:
        self._recording = recording
        self._alerts = alerts
        self._clock = clock
        self._told: dict[str, str] = {}

    async def record_hub_events(self, envelopes: Sequence[Envelope]) -> None:
        """See `Recording`."""
        await self._watch(envelopes)
        await self._recording.record_hub_events(envelopes)

    async def record_dps_events(self, envelopes: Sequence[Envelope]) -> None:
        """See `Recording`."""
        await self._watch(envelopes)
        await self._recording.record_dps_events(envelopes)

    async def _watch(self, envelopes: Sequence[Envelope]) -> None:
        oldest = min((e for e in envelopes if e.enqueued_at != _UNKNOWN), key=lambda e: e.enqueued_at, default=None)
        if oldest is None:
            return
        now = self._clock.now()
        lag = now - oldest.enqueued_at
        telemetry.note(telemetry.RECORDING_LAG, max(lag.total_seconds(), 0.0), {"hub": oldest.hub})
        if lag > STALLED_AFTER and self._told.get(oldest.hub) != hour_of(now):
            await self._tell(oldest, lag, now)

    async def _tell(self, oldest: Envelope, lag: timedelta, now: datetime) -> None:
        hour = hour_of(now)
        data = {
            "eventHub": oldest.hub,
            "partition": oldest.partition,
            "sequenceNumber": str(oldest.sequence_number),
            "ageSeconds": str(int(lag.total_seconds())),
        }
        alert = fleet_alert(FleetAlertType.RECORDING_STALLED, f"{oldest.hub}/{hour}", now, data)
        try:
            await self._alerts.publish([alert])
        except InfrastructureFault as fault:  # recording itself must not wait for Event Grid
            _log.warning("%s is behind by %s, and that cannot be told: %s", oldest.hub, lag, fault)
            return
        self._told[oldest.hub] = hour
