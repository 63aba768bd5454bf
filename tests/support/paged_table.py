"""The table port in memory, that pages as Azure does and counts what a storage account would count.

A million devices fit: rows that were put in bulk share their values, and only keys are their own.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from shared.errors import Conflict
from shared.services.ports import Row, Value, Write

PAGE: Final = 1000
"""The most entities in one answer (Azure docs: Query timeout and pagination)."""
LARGEST_TRANSACTION: Final = 100
"""Operations in one entity-group transaction (Azure docs: Table storage)."""


@dataclass(slots=True)
class Traffic:
    """What was asked of the table. entities: those that came back from reads."""

    requests: int = 0
    entities: int = 0
    reads: int = 0
    pages: int = 0
    transactions: int = 0
    operations: int = 0


@dataclass(slots=True)
class _Shard:
    keys: list[str] = field(default_factory=list)  # sorted
    rows: dict[str, tuple[Mapping[str, Value], int]] = field(default_factory=dict)  # values and the ETag's number


class PagedTable:
    """A table whose requests are counted in `traffic`."""

    def __init__(self) -> None:
        self.traffic = Traffic()
        self._shards: dict[str, _Shard] = defaultdict(_Shard)
        self._versions = itertools.count(1)

    def __len__(self) -> int:
        return sum(len(shard.keys) for shard in self._shards.values())

    def put_in_bulk(self, partition: str, rows: Iterable[tuple[str, Mapping[str, Value]]]) -> None:
        """Puts rows without counting them: how a bench fills the table."""
        shard = self._shards[partition]
        version = next(self._versions)
        shard.rows.update((key, (values, version)) for key, values in rows)
        shard.keys = sorted(shard.rows)

    def reset(self) -> Traffic:
        """What was counted so far; counts from zero again."""
        counted, self.traffic = self.traffic, Traffic()
        return counted

    async def get(self, partition: str, key: str) -> Row | None:
        """The row, or None."""
        row = self._row(partition, key)
        self._count_read(found=row is not None)
        return row

    async def get_many(self, partition: str, keys: Sequence[str]) -> dict[str, Row]:
        """Point reads. Keys without a row are absent from the answer."""
        rows = [await self.get(partition, key) for key in dict.fromkeys(keys)]
        return {row.key: row for row in rows if row is not None}

    async def scan(self, partition: str, low: str, high: str, limit: int | None = None) -> AsyncIterator[Row]:
        """The rows with low <= key < high in the order of their keys, at most `limit`; each page is a request."""
        if limit == 0:
            return
        size, left, after = min(limit or PAGE, PAGE), limit, low
        while True:
            page, following = self._page(partition, after, high, size)
            for row in page if left is None else page[:left]:
                yield row
            left = None if left is None else left - len(page)
            if following is None or (left is not None and left <= 0):
                return
            after = following

    async def commit(self, partition: str, writes: Sequence[Write]) -> dict[str, str]:
        """All of the writes (1 to 100, distinct keys) or none. The new ETags of what was written, by key.

        A delete of what is gone costs a second request, as with Azure, which refuses the first. Raises: Conflict.
        """
        self._check_shape(writes)
        refused = sum(1 for w in writes if w.kind == "delete" and self._row(partition, w.row.key) is None)
        self.traffic.requests += 1 + refused
        self.traffic.transactions += 1
        self.traffic.operations += len(writes)
        for write in writes:
            self._check_state(partition, write)
        etags: dict[str, str] = {}
        for write in writes:
            etags.update(self._apply(partition, write))
        return etags

    def _row(self, partition: str, key: str) -> Row | None:
        entry = self._shards[partition].rows.get(key)
        return None if entry is None else Row(partition, key, entry[0], _etag(entry[1]))

    def _page(self, partition: str, low: str, high: str, size: int) -> tuple[list[Row], str | None]:
        """One answer: its rows and the key from which the next one goes on, as Azure's continuation tells it."""
        shard = self._shards[partition]
        first, end = bisect_left(shard.keys, low), bisect_left(shard.keys, high)
        last = min(first + size, end)
        self.traffic.requests += 1
        self.traffic.pages += 1
        self.traffic.entities += last - first
        rows = [Row(partition, key, shard.rows[key][0], _etag(shard.rows[key][1])) for key in shard.keys[first:last]]
        return rows, shard.keys[last] if last < end else None

    def _count_read(self, *, found: bool) -> None:
        self.traffic.requests += 1
        self.traffic.reads += 1
        self.traffic.entities += found

    def _check_shape(self, writes: Sequence[Write]) -> None:
        if not 1 <= len(writes) <= LARGEST_TRANSACTION:
            raise ValueError(f"a transaction holds 1 to {LARGEST_TRANSACTION} operations, not {len(writes)}")
        if len({write.row.key for write in writes}) < len(writes):
            raise ValueError("a transaction touches a row once")

    def _check_state(self, partition: str, write: Write) -> None:
        present = self._row(partition, write.row.key)
        if write.kind == "insert" and present is not None:
            raise Conflict(f"row {partition}/{write.row.key} exists")
        if write.kind == "replace" and (present is None or present.etag != write.row.etag):
            raise Conflict(f"row {partition}/{write.row.key} has changed")

    def _apply(self, partition: str, write: Write) -> Iterator[tuple[str, str]]:
        shard, key = self._shards[partition], write.row.key
        if write.kind == "delete":
            if shard.rows.pop(key, None) is not None:
                del shard.keys[bisect_left(shard.keys, key)]
            return
        if key not in shard.rows:
            insort(shard.keys, key)
        version = next(self._versions)
        shard.rows[key] = (write.row.values, version)
        yield key, _etag(version)


def _etag(version: int) -> str:
    return f'W/"{version}"'
