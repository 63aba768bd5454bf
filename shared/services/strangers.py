"""Failed registrations of devices that nobody knows: counted by the hour and told as one digest, never recorded.

The id scope of a DPS is no secret, so that anybody can make it log failures; the table must not fill with them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.clock import Clock
from shared.contracts import AlertType
from shared.domain.events import RegistrationFailed
from shared.domain.fleet_alerts import fleet_alert, hour_of
from shared.domain.keys import FLEET_PARTITION, stamp
from shared.errors import Conflict, InfrastructureFault
from shared.services.ports import Alerts, Row, Table, Value, Write

IDS_KEPT: Final = 100
TRIES: Final = 5
_COUNT: Final = "count!"


class Strangers:
    """Counts, and tells an hour once it is over."""

    def __init__(self, table: Table, alerts: Alerts, clock: Clock) -> None:
        self._table = table
        self._alerts = alerts
        self._clock = clock

    async def count(self, failures: Sequence[RegistrationFailed]) -> None:
        """Adds failures to their hours; one row each hour, whatever their number. Raises: InfrastructureFault."""
        hours: dict[datetime, list[RegistrationFailed]] = {}
        for failure in failures:
            hours.setdefault(_hour(failure.at), []).append(failure)
        for hour, failed in hours.items():
            await self._add(hour, [failure.device_id for failure in failed])

    async def tell(self) -> int:
        """One digest for each hour that is over, whose row is then removed; returns how many.

        Raises: InfrastructureFault.
        """
        end = f"{_COUNT}{stamp(_hour(self._clock.now()))}"
        rows = [row async for row in self._table.scan(FLEET_PARTITION, _COUNT, end, 100)]
        for row in rows:
            hour = datetime.strptime(row.key.removeprefix(_COUNT), "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
            data = {"hour": hour_of(hour), "count": str(row.values["count"]), "ids": str(row.values["ids"])}
            alert = fleet_alert(AlertType.DEVICE_REGISTRATION_FAILED, hour_of(hour), self._clock.now(), data)
            await self._alerts.publish([alert])
            await self._table.commit(FLEET_PARTITION, [Write("delete", row)])
        return len(rows)

    async def _add(self, hour: datetime, ids: Sequence[str]) -> None:
        key = f"{_COUNT}{stamp(hour)}"
        for _ in range(TRIES):
            known = await self._table.get(FLEET_PARTITION, key)
            count = int(str(known.values["count"])) if known else 0
            kept = json.loads(str(known.values["ids"])) if known else []
            kept = list(dict.fromkeys([*kept, *(identifier[:128] for identifier in ids)]))[:IDS_KEPT]
            values: dict[str, Value] = {"count": count + len(ids), "ids": json.dumps(kept)}
            row = Row(FLEET_PARTITION, key, values, known.etag if known else None)
            try:
                await self._table.commit(FLEET_PARTITION, [Write("replace" if known else "insert", row)])
            except Conflict:
                continue
            return
        raise InfrastructureFault("table", f"the count of {hour_of(hour)} kept changing")


def _hour(instant: datetime) -> datetime:
    return instant - timedelta(minutes=instant.minute, seconds=instant.second, microseconds=instant.microsecond)
