"""The devices that a bulk operation is about, taken down before any is touched: rows `target!{operation}!{page}`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import batched
from typing import Final

from shared.domain import keys
from shared.domain.keys import FLEET_PARTITION
from shared.services.ports import Row, Table, Write

PAGE: Final = 100
"""Ids in a row: what a property of 32 Ki characters holds of the longest."""
_ROWS_AT_ONCE: Final = 100


class TargetRows:
    """Reads and writes them."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def put(self, operation_id: str, first: int, device_ids: Sequence[str]) -> int:
        """Stores pages from the number `first` on; the number of the page that comes next."""
        pages = list(batched(device_ids, PAGE, strict=False))
        for number, page in enumerate(pages, start=first):
            row = Row(FLEET_PARTITION, keys.target_key(operation_id, number), {"deviceIds": "\n".join(page)})
            await self._table.commit(FLEET_PARTITION, [Write("upsert", row)])
        return first + len(pages)

    async def page(self, operation_id: str, number: int) -> list[str]:
        """The devices of a page."""
        row = await self._table.get(FLEET_PARTITION, keys.target_key(operation_id, number))
        return str(row.values["deviceIds"]).split("\n") if row else []

    async def remove(self, operation_id: str) -> None:
        """Removes all pages of the operation."""
        low, high = keys.target_range(operation_id)
        found = [row.key async for row in self._table.scan(FLEET_PARTITION, low, high)]
        for batch in batched(found, _ROWS_AT_ONCE, strict=False):
            await self._table.commit(FLEET_PARTITION, [Write("delete", Row(FLEET_PARTITION, k, {})) for k in batch])
