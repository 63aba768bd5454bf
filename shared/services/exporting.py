"""Exports: the fleet's list as a CSV file, written as long work and read in pieces.

A unit of the work stages one block of the file, a bounded number of devices, and its cursor names the blocks so far. A
block is named by what it holds, so that a unit that is made twice cannot mix with its double; the last unit puts the
blocks together, and only then is there a file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from shared.clock import Clock
from shared.domain.exports import csv_of, header
from shared.domain.keys import FLEET_PARTITION
from shared.domain.listing import DeviceLine, Filter
from shared.domain.operations import Operation, OperationKind, OperationState
from shared.domain.record import Actor
from shared.errors import NotPossible
from shared.services.listing import Listing, line_of
from shared.services.operations import Advance, Operations
from shared.services.ports import Table
from shared.services.snapshots import LATEST, read_snapshot

ROWS: Final = 20_000
"""Devices that a unit looks at: about 25 requests and 4 MiB."""
BLOCK_CHARACTERS: Final = 2**23
"""A block's size that ends a unit early: devices with many tags have long lines."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file. size: of the whole; version: changes with the file."""

    content: bytes
    size: int
    version: str


class ExportFiles(Protocol):
    """Where exports are kept: files of blocks, which come into being when the blocks are put together."""

    def place_of(self, name: str) -> str:
        """Where a file is, for people: `container/name`."""

    async def stage(self, name: str, block: str, content: bytes) -> None:
        """Stores a block of a file that is to be. Blocks of a file have names of one length."""

    async def assemble(self, name: str, blocks: Sequence[str]) -> None:
        """The file is these blocks from now on; doing it again changes nothing."""

    async def read(self, name: str, start: int, length: int) -> Piece:
        """At most `length` bytes from `start` on. Raises: NotFound."""

    async def remove(self, name: str) -> None:
        """Removes a file, if there is one."""

    async def older_than(self, instant: datetime, limit: int) -> list[str]:
        """The names of files that were made before, at most `limit`."""


class ExportWork:
    """The work of operations of the kind `export`."""

    def __init__(self, listing: Listing, files: ExportFiles, rows: int = ROWS) -> None:
        self._listing = listing
        self._files = files
        self._rows = rows

    async def advance(self, operation: Operation) -> Advance:
        """One block, and behind the last the file. Raises: InfrastructureFault."""
        place = _Place.read(operation.cursor)
        chunk = await self._chunk(Filter.from_parameters(operation.parameters), place)
        text = csv_of(chunk.lines) if place.blocks else header() + csv_of(chunk.lines)
        content = text.encode()
        block = f"{len(place.blocks):06d}-{hashlib.blake2b(content, digest_size=8).hexdigest()}"
        await self._files.stage(file_of(operation), block, content)
        place = place.behind(chunk, block, len(content))
        progressed = operation.progressed(cursor=place.to_cursor(), done=chunk.examined)
        if not chunk.is_last:
            return Advance(progressed)
        await self._files.assemble(file_of(operation), place.blocks)
        result = {"blob": self._files.place_of(file_of(operation)), "rows": str(place.rows), "bytes": str(place.size)}
        return Advance(replace(progressed, total=progressed.done).finished(result))

    async def discard(self, operation: Operation) -> None:
        """Of an export that came to its end the file stays; of another nothing does."""
        if operation.state is not OperationState.DONE:
            await self._files.remove(file_of(operation))

    async def _chunk(self, wanted: Filter, place: _Place) -> _Chunk:
        lines: list[DeviceLine] = []
        after, examined, weight = place.after, 0, 0
        async for row in self._listing.rows(wanted, place.after, self._rows + 1):
            if examined == self._rows or weight > BLOCK_CHARACTERS:
                return _Chunk(lines, after, examined, is_last=False)
            line = line_of(row)
            if wanted.admits(line):
                lines.append(line)
                weight += 300 + len(str(row.values.get("tags", "")))
            after, examined = row.key, examined + 1
        return _Chunk(lines, after, examined, is_last=True)


class Exports:
    """Begins exports, reads what they have written, and removes it when it is old."""

    def __init__(
        self, table: Table, operations: Operations, files: ExportFiles, retention: timedelta, clock: Clock
    ) -> None:
        self._table = table
        self._operations = operations
        self._files = files
        self._retention = retention
        self._clock = clock

    async def start(self, wanted: Filter, actor: Actor, reason: str, operation_id: str | None = None) -> Operation:
        """Begins one. With an id that is known already: that operation, as it is. Raises: InfrastructureFault."""
        latest = None if wanted.is_bounded else await self._table.get(FLEET_PARTITION, LATEST)
        return await self._operations.start(
            OperationKind.EXPORT,
            actor,
            reason,
            wanted.to_parameters(),
            total=read_snapshot(latest).total if latest else None,
            operation_id=operation_id,
        )

    async def read(self, operation_id: str, start: int, length: int) -> Piece:
        """A part of what an export has written.

        Raises: NotFound where there is no such operation, or its file was removed; NotPossible where it wrote none.
        """
        operation = await self._operations.show(operation_id)
        if operation.kind is not OperationKind.EXPORT:
            raise NotPossible(f"operation {operation_id} is {operation.kind}: it writes no file")
        if operation.state is not OperationState.DONE:
            raise NotPossible(f"operation {operation_id} is {operation.state}: it has written no file yet")
        return await self._files.read(file_of(operation), start, length)

    async def prune(self, limit: int = 100) -> int:
        """Removes files that are older than the retention; how many. Raises: InfrastructureFault."""
        old = await self._files.older_than(self._clock.now() - self._retention, limit)
        for name in old:
            await self._files.remove(name)
        return len(old)


def file_of(operation: Operation) -> str:
    """The name of an export's file."""
    return f"{operation.id}.csv"


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What a unit has read."""

    lines: Sequence[DeviceLine]
    after: str
    examined: int
    is_last: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """How far an export is: behind which row, with which blocks, of how many devices and bytes."""

    after: str = ""
    blocks: tuple[str, ...] = ()
    rows: int = 0
    size: int = 0

    @classmethod
    def read(cls, cursor: str) -> _Place:
        if not cursor:
            return cls()
        document = json.loads(cursor)
        return cls(document["after"], tuple(document["blocks"]), document["rows"], document["size"])

    def behind(self, chunk: _Chunk, block: str, size: int) -> _Place:
        return _Place(chunk.after, (*self.blocks, block), self.rows + len(chunk.lines), self.size + size)

    def to_cursor(self) -> str:
        document = {"after": self.after, "blocks": self.blocks, "rows": self.rows, "size": self.size}
        return json.dumps(document, separators=(",", ":"))
