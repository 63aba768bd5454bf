"""Lists of devices by the end of their certificates, page by page: a merge of every shard's rows `expires!`.

What a line shows and what a filter asks for stands in those rows, so that no record is read. Bounds on the end choose a
range of rows; the other filters look at rows one by one, and at a bounded number of them a call.
"""

from __future__ import annotations

import asyncio
import heapq
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain import keys
from shared.domain.listing import EVERY_DEVICE, DeviceLine, Filter
from shared.services.ports import Row, Table

EXAMINED: Final = 5000
"""Rows that one call looks at where it filters: about one request a shard."""
_SPARE: Final = 16
"""Rows beyond its even share that are read of each shard, since no hash spreads evenly."""


@dataclass(frozen=True, slots=True)
class Page:
    """Devices by expiry, the earliest first. `cursor` asks for what comes behind them; None on the last page.

    is_partial: the bound on rows was met before the page was full; there may be more, behind the cursor.
    """

    devices: tuple[DeviceLine, ...]
    cursor: str | None
    is_partial: bool = False


class Listing:
    """Reads lists. partitions: the shards."""

    def __init__(self, table: Table, partitions: Sequence[str], examined: int = EXAMINED) -> None:
        self._table = table
        self._partitions = partitions
        self._examined = examined

    async def page(self, limit: int, cursor: str | None = None, wanted: Filter = EVERY_DEVICE) -> Page:
        """At most `limit` devices behind the cursor. Raises: InfrastructureFault."""
        most = self._examined if wanted.looks_at_rows else limit
        found: list[DeviceLine] = []
        after, count = cursor, 0
        async for row in self.rows(wanted, cursor or "", most + 1):
            if count == most or len(found) == limit:  # this row is behind the page, and proves that there is more
                return Page(tuple(found), after, is_partial=len(found) < limit)
            line = line_of(row)
            after, count = row.key, count + 1
            if wanted.admits(line):
                found.append(line)
        return Page(tuple(found), None)

    async def rows(self, wanted: Filter, after: str, about: int) -> AsyncIterator[Row]:
        """The rows of the filter's range behind the key `after`, of all shards in one order; unfiltered.

        about: how many the caller is going to take, from which follows how many are read at a time.
        """
        low, high = keys.expires_between(wanted.expires_after, wanted.expires_before)
        low = max(low, keys.behind(after)) if after else low
        size = about // len(self._partitions) + _SPARE
        shards = [_Shard(self._table, partition, low, high, size) for partition in self._partitions]
        await asyncio.gather(*(shard.fill() for shard in shards))
        heap = [(shard.rows[0].key, place) for place, shard in enumerate(shards) if shard.rows]
        heapq.heapify(heap)
        while heap:
            _, place = heap[0]
            yield shards[place].rows.popleft()
            await shards[place].fill()
            if shards[place].rows:
                heapq.heapreplace(heap, (shards[place].rows[0].key, place))
            else:
                heapq.heappop(heap)


class _Shard:
    """The rows of a shard in a range, `size` at a time."""

    def __init__(self, table: Table, partition: str, low: str, high: str, size: int) -> None:
        self.rows: deque[Row] = deque()
        self._table = table
        self._partition = partition
        self._low = low
        self._high = high
        self._size = size
        self._is_read = False

    async def fill(self) -> None:
        """Sees to it that the next row is there, if there is one."""
        if self.rows or self._is_read:
            return
        rows = [row async for row in self._table.scan(self._partition, self._low, self._high, self._size)]
        self.rows.extend(rows)
        self._is_read = len(rows) < self._size
        self._low = keys.behind(rows[-1].key) if rows else self._low


def line_of(row: Row) -> DeviceLine:
    """The device in a row of the list; one that was written by an earlier version may tell less."""
    device_id = str(row.values["deviceId"])

    def text(name: str) -> str | None:
        value = row.values.get(name)
        return str(value) if value is not None else None

    return DeviceLine(
        device_id=device_id,
        registration_id=text("registrationId") or device_id,
        state=str(row.values["state"]),
        reason=str(row.values["reason"]),
        hub=str(row.values["hub"]),
        enrollment_group=text("enrollmentGroup"),
        tags=json.loads(text("tags") or "{}"),
        valid_from=text("validFrom"),
        valid_until=text("validUntil"),
        thumbprint=text("thumbprint"),
        evidence=text("evidence"),
        issuer=text("issuer"),
        authority_key_id=text("authorityKeyId"),
    )
