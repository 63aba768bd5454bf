"""One ledger of what commands have taken of the present minute: for sweeps and for requests by hand, on every instance.

Row `cursor!ledger` in the partition `fleet`: when the minute began, and how many places of it are taken.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.domain.keys import FLEET_PARTITION
from shared.errors import Conflict, FleetcertError
from shared.services.pacing import MINUTE, Budget
from shared.services.ports import Row, Table, Value, Write

TRIES: Final = 5
SLACK: Final = timedelta(seconds=5)
"""A timer that ticks once a minute ticks a little early or late, and must not meet the minute of the tick before."""
_KEY: Final = "cursor!ledger"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Minute:
    """A minute's places. begun: when it began; used: places taken before; taken and asked: ours since it was opened."""

    budget: Budget
    begun: datetime
    used: int = 0
    taken: int = 0
    asked: int = 0

    def take(self, now: datetime) -> timedelta | None:
        """How long the next command waits for its place, or None where the minute is full."""
        place = self.used + self.asked
        self.asked += 1
        if not self.budget.has_room(place):
            return None
        self.taken += 1
        return max(timedelta(), self.begun + self.budget.delay(place) - now)

    @property
    def room(self) -> int:
        """Places that are left."""
        return max(0, self.budget.commands - self.used - self.asked)

    def rest(self, now: datetime) -> timedelta:
        """How long until the next minute begins."""
        return max(timedelta(), self.begun + MINUTE - now)

    def slot(self) -> datetime:
        """When the minute begins that has room for the place that was asked for last."""
        return self.begun + self.budget.slot(self.used + self.asked - 1)


class Ledger:
    """Opens the present minute, and books what was taken of it. name: of a ledger beside that of commands."""

    def __init__(self, table: Table, budget: Budget, name: str = "") -> None:
        self._table = table
        self._budget = budget
        self._key = f"{_KEY}!{name}" if name else _KEY

    async def open(self, now: datetime) -> Minute:
        """The minute as it stands. Raises: InfrastructureFault."""
        return _minute(await self._table.get(FLEET_PARTITION, self._key), self._budget, now)

    async def book(self, minute: Minute, now: datetime) -> None:
        """Adds what was taken. A ledger that cannot be written costs a burst, not a command: nothing is raised."""
        try:
            for _ in range(TRIES if minute.taken else 0):
                if await self._booked(minute.taken, now):
                    return
        except FleetcertError as fault:
            _log.warning("%d commands could not be booked: %s", minute.taken, fault)

    async def _booked(self, taken: int, now: datetime) -> bool:
        row = await self._table.get(FLEET_PARTITION, self._key)
        minute = _minute(row, self._budget, now)
        values: dict[str, Value] = {"begun": minute.begun, "used": minute.used + taken}
        changed = Row(FLEET_PARTITION, self._key, values, row.etag if row else None)
        try:
            await self._table.commit(FLEET_PARTITION, [Write("replace" if row else "insert", changed)])
        except Conflict:
            return False
        return True


def _minute(row: Row | None, budget: Budget, now: datetime) -> Minute:
    begun = row.values["begun"] if row else None
    if row is None or not isinstance(begun, datetime) or not begun <= now < begun + MINUTE - SLACK:
        return Minute(budget, now)
    return Minute(budget, begun, int(str(row.values["used"])))
