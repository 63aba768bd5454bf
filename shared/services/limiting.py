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

    async def admit(self, operation_id: str) -> None:
        """That another may begin, or that this one has begun already. Raises: LimitReached, InfrastructureFault."""
        low, high = keys.running_range()
        running = {row.key async for row in self._table.scan(FLEET_PARTITION, low, high, self._most + 1)}
        if len(running) >= self._most and keys.running_key(operation_id) not in running:
            raise LimitReached("operations", self._most, _PATIENCE)
