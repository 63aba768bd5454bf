"""How much long work may be under way at a time: a caller that loops must not fill the queue."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from shared.domain import keys
from shared.domain.keys import FLEET_PARTITION
from shared.errors import LimitReached
from shared.services.ports import Table

MOST_RUNNING: Final = 20
_PATIENCE: Final = timedelta(minutes=1)


class OperationLimit:
    """Counts the operations that have not ended; about as exact as a look at a table is."""

    def __init__(self, table: Table, most: int = MOST_RUNNING) -> None:
        self._table = table
        self._most = most

    async def admit(self) -> None:
        """That another may begin. Raises: LimitReached, InfrastructureFault."""
        low, high = keys.running_range()
        running = [row async for row in self._table.scan(FLEET_PARTITION, low, high, self._most)]
        if len(running) >= self._most:
            raise LimitReached("operations", self._most, _PATIENCE)
