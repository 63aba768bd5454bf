"""The audit's writer: moves what changed from the table, where its transaction left it, into the chain of blobs.

A row goes only after its line is in a blob. The blobs take a line only at the position that its writer has seen, so
that of two writers one is turned away. Whoever dies in between leaves rows of its last block behind; the next writer
finds them in the end of the chain and removes them unwritten.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import batched, chain
from typing import Any, Final, Protocol

from shared.clock import Clock
from shared.domain import keys
from shared.domain.audit import CONTINUES, Head, Line, blob_name, following_name
from shared.errors import Conflict, FleetcertError
from shared.services.ports import Row, Table, Write
from shared.services.store import TRANSACTION_LIMIT

_log = logging.getLogger(__name__)

STEPS: Final = 20
"""Blocks that one run appends at most."""
LINES_A_STEP: Final = 1000
ROWS_A_SHARD: Final = 64
"""Rows of a partition that one step looks at."""
BLOCK_BYTES: Final = 2**20
"""A block's size, which one entry may exceed. Azure takes 4 MiB from any version (Azure docs: Append Block)."""
WINDOW_BYTES: Final = 4 * 2**20
"""How much of the chain's end is read: the last block lies in it, whole."""
MAX_BLOCKS: Final = 49_000
"""An append blob holds 50,000 blocks (Azure docs: Blob storage scalability targets); one has to name the next blob."""
MAX_BYTES: Final = 2**30
"""A blob's size at which the next begins, so that one can be read in a sitting."""


class AuditBroken(FleetcertError):
    """The end of the chain cannot be read: somebody else has written there. Nothing is appended until it is mended."""


@dataclass(frozen=True, slots=True)
class BlobEnd:
    """Where an append blob ends. tail: its last lines, whole ones, of at most `WINDOW_BYTES`."""

    size: int
    blocks: int
    tail: bytes


class AuditLog(Protocol):
    """Append blobs that nobody can change or delete."""

    async def newest(self) -> list[str]:
        """The names of the last two blobs in their order; fewer where there are fewer."""

    async def end_of(self, name: str, window: int) -> BlobEnd:
        """Where the blob ends, and the whole lines in its last `window` bytes."""

    async def create(self, name: str) -> None:
        """Makes an empty blob; content where there is one, whatever it holds."""

    async def append(self, name: str, position: int, block: bytes) -> None:
        """Appends where the blob is `position` bytes long. Raises: Conflict where it is not."""


@dataclass(frozen=True, slots=True)
class AuditOutcome:
    """What a run did. more: rows were left for the next. oldest: the first change that was appended."""

    appended: int = 0
    more: bool = False
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True)
class _End:
    """Where the next line goes. name None: there is no blob yet. following: the chain has left the blob for this."""

    name: str | None
    size: int
    blocks: int
    head: Head
    following: str | None = None


class Auditing:
    """Appends what waits in the table's `audit!` rows. partitions: the shards, and the fleet's own."""

    def __init__(self, table: Table, log: AuditLog, partitions: Sequence[str], clock: Clock) -> None:
        self._table = table
        self._log = log
        self._partitions = partitions
        self._clock = clock
        self._end: _End | None = None  # kept only while every row of what was appended is known to be gone

    async def append(self) -> AuditOutcome:
        """Moves rows in the order of their time, in at most `STEPS` blocks.

        Another writer's block ends the run; the next goes on behind it. Raises: AuditBroken, InfrastructureFault.
        """
        appended, oldest = 0, None
        try:
            for _ in range(STEPS):
                rows = await self._step()
                appended += len(rows)
                oldest = oldest or (_instant(rows[0]) if rows else None)
                if not rows:
                    return AuditOutcome(appended, more=False, oldest=oldest)
        except Conflict:
            _log.info("another writer appends to the audit")
        return AuditOutcome(appended, more=True, oldest=oldest)

    async def _step(self) -> list[Row]:
        # The end comes before the rows: rows that another writer has moved meanwhile then meet its block, not ours.
        end, self._end = self._end or await self._found_end(), None
        rows = await self._waiting()
        if rows:
            end = await self._open(end)
            lines = _bounded(end.head, rows)
            rows = rows[: len(lines)]
            end = await self._append(end, lines)
            await self._remove(rows)
        self._end = end
        return rows

    async def _found_end(self) -> _End:
        """The end of the chain, with the rows of its last block removed: a dead writer may have left them."""
        names = await self._log.newest()
        if not names:
            return _End(None, 0, 0, Head())
        end = last = await self._log.end_of(names[-1], WINDOW_BYTES)
        if not end.size and len(names) > 1:  # a blob was made, and its maker died before the first line
            last = await self._log.end_of(names[-2], WINDOW_BYTES)
        lines = [_read(raw) for raw in last.tail.splitlines()]
        await self._remove_if_present(lines[-LINES_A_STEP:])  # no block has more
        head = lines[-1].head if lines else Head()
        following = lines[-1].next_blob if end.size else None
        return _End(names[-1], end.size, end.blocks, head, following)

    async def _waiting(self) -> list[Row]:
        """The oldest rows of all partitions; none that a row behind another's limit could be older than."""
        shards = await asyncio.gather(*(self._rows(partition) for partition in self._partitions))
        bound = min((rows[-1].key for rows in shards if len(rows) == ROWS_A_SHARD), default=None)
        ordered = sorted(chain.from_iterable(shards), key=lambda row: (row.key, row.partition))
        return [row for row in ordered if bound is None or row.key <= bound][:LINES_A_STEP]

    async def _rows(self, partition: str) -> list[Row]:
        return [row async for row in self._table.scan(partition, *keys.audit_range(), ROWS_A_SHARD)]

    async def _open(self, end: _End) -> _End:
        """The end in a blob that takes the next line: of today, and with room."""
        today = self._clock.now().astimezone(UTC).date()
        if end.name is None:
            return await self._created(blob_name(today), end.head)
        if end.following is None:
            following = following_name(end.name, today)
            if end.name >= blob_name(today) and end.blocks < MAX_BLOCKS and end.size < MAX_BYTES:
                return end
            entry = {"kind": CONTINUES, "at": _text(self._clock.now()), "next": following}
            end = await self._append(end, [Line.after(end.head, entry)])
        return await self._created(end.following or "", end.head)

    async def _created(self, name: str, head: Head) -> _End:
        await self._log.create(name)
        return _End(name, 0, 0, head)

    async def _append(self, end: _End, lines: Sequence[Line]) -> _End:
        block = b"".join(line.to_json() + b"\n" for line in lines)
        await self._log.append(end.name or "", end.size, block)
        return _End(end.name, end.size + len(block), end.blocks + 1, lines[-1].head, lines[-1].next_blob)

    async def _remove(self, rows: Iterable[Row]) -> None:
        shards: dict[str, list[Write]] = defaultdict(list)
        for row in rows:
            shards[row.partition].append(Write("delete", row))
        batches = [b for writes in shards.values() for b in batched(writes, TRANSACTION_LIMIT, strict=False)]
        await asyncio.gather(*(self._table.commit(batch[0].row.partition, batch) for batch in batches))

    async def _remove_if_present(self, lines: Iterable[Line]) -> None:
        shards: dict[str, set[str]] = defaultdict(set)
        for line in lines:
            partition, _, key = str(line.entry.get("row", "")).partition("/")
            if key:
                shards[partition].add(key)
        found = await asyncio.gather(*(self._present(partition, wanted) for partition, wanted in shards.items()))
        await self._remove(chain.from_iterable(found))

    async def _present(self, partition: str, wanted: set[str]) -> list[Row]:
        """Those rows that are still there; mostly none, which one request tells."""
        async for _ in self._table.scan(partition, min(wanted), f"{max(wanted)} ", 1):
            return list((await self._table.get_many(partition, sorted(wanted))).values())
        return []


def _bounded(head: Head, rows: Iterable[Row]) -> list[Line]:
    """The lines of the first rows that make a block; at least one."""
    lines: list[Line] = []
    size = 0
    for row in rows:
        line = Line.after(head, _entry(row))
        size += len(line.to_json()) + 1
        if lines and size > BLOCK_BYTES:
            break
        lines.append(line)
        head = line.head
    return lines


def _entry(row: Row) -> Mapping[str, Any]:
    """The change as it stands in the chain. row: where it stood in the table, which no other change ever did."""
    values = {name: _text(value) if isinstance(value, datetime) else value for name, value in row.values.items()}
    return {**values, "details": _details(values.get("details")), "row": f"{row.partition}/{row.key}"}


def _details(text: object) -> Any:
    try:
        return json.loads(str(text)) if text else {}
    except ValueError:  # whatever it is, it is part of the record
        return text


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _instant(row: Row) -> datetime | None:
    at = row.values.get("at")
    return at if isinstance(at, datetime) else None


def _read(raw: bytes) -> Line:
    try:
        line = Line.from_json(raw)
    except ValueError as problem:
        raise AuditBroken(f"the end of the audit is not ours: {problem}") from problem
    if not line.is_whole:
        raise AuditBroken(f"the end of the audit is not ours: line {line.seq} does not have its hash")
    return line
