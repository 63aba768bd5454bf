"""Importing inventories of onboarding leaves: blobs of JSON Lines, read piece by piece.

A blob is imported once. How far the present one is stands in the row `cursor!inventory`; what became of a blob is
written into its own metadata, where whoever uploaded it can see it. A line that cannot be used is kept with its reason
beside the blob, and the others go on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Final, Protocol

from shared.clock import Clock
from shared.contracts import format_instant
from shared.domain import keys
from shared.domain.changes import Policies, Reduction
from shared.domain.leaves import Leaf, learned, parse_leaf
from shared.domain.record import DeviceRecord
from shared.errors import BadEvent, Conflict
from shared.services.leaf_rows import LeafRows
from shared.services.ports import Row, Table, Write
from shared.services.store import FleetStore

PIECE_BYTES: Final = 512 * 1024
STEP: Final = timedelta(minutes=4)
_CURSOR: Final = "cursor!inventory"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PendingBlob:
    """An inventory that waits. etag: its content's version."""

    name: str
    etag: str
    size: int


class InventoryBlobs(Protocol):
    """The container of inventories. Every method may raise InfrastructureFault."""

    async def pending(self) -> PendingBlob | None:
        """The first by name that has not been imported; None where there is none."""

    async def read(self, blob: PendingBlob, offset: int, length: int) -> bytes:
        """A piece of it, shorter at its end. Raises: Conflict where the blob has changed."""

    async def reject(self, blob: PendingBlob, lines: Sequence[tuple[int, str]]) -> None:
        """Keeps what could not be used: the number of the line, from 1, and why."""

    async def finish(self, blob: PendingBlob, outcome: Mapping[str, str]) -> None:
        """Writes what became of it into its metadata, so that it waits no more. Raises: Conflict."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an inventory is imported. offset: bytes; lines: those that were read; learned: records that changed."""

    name: str
    etag: str
    offset: int = 0
    lines: int = 0
    imported: int = 0
    rejected: int = 0
    learned: int = 0


class Inventories:
    """Imports them, the oldest name first."""

    def __init__(
        self,
        blobs: InventoryBlobs,
        table: Table,
        store: FleetStore,
        leaves: LeafRows,
        policies: Policies,
        clock: Clock,
    ) -> None:
        self._blobs = blobs
        self._table = table
        self._store = store
        self._leaves = leaves
        self._policies = policies
        self._clock = clock

    async def step(self) -> list[Progress]:
        """Goes on for four minutes at most; the inventories that were worked on, as they stand now.

        Raises: InfrastructureFault; the next call goes on from the last piece that was done.
        """
        ends = self._clock.now() + STEP
        worked: dict[str, Progress] = {}
        while self._clock.now() < ends and (blob := await self._blobs.pending()) is not None:
            try:
                progress = await self._advanced(blob, await self._progress(blob))
            except Conflict as conflict:
                _log.warning("inventory %s has changed, and is read again: %s", blob.name, conflict)
                break
            worked[blob.name] = progress
        return list(worked.values())

    async def _progress(self, blob: PendingBlob) -> Progress:
        row = await self._table.get(keys.FLEET_PARTITION, _CURSOR)
        if row is None or (row.values["name"], row.values["etag"]) != (blob.name, blob.etag):
            return Progress(blob.name, blob.etag)
        counts = {name: int(str(row.values[name])) for name in ("offset", "lines", "imported", "rejected", "learned")}
        return Progress(blob.name, blob.etag, **counts)

    async def _advanced(self, blob: PendingBlob, progress: Progress) -> Progress:
        """One piece further; after the last one the blob is done with."""
        piece = await self._blobs.read(blob, progress.offset, PIECE_BYTES)
        is_last = progress.offset + len(piece) >= blob.size
        whole = piece if is_last else piece[: piece.rfind(b"\n") + 1]
        if not whole and not is_last:
            return await self._finished(blob, replace(progress, rejected=progress.rejected + 1), _TOO_LONG)
        progress = await self._taken(blob, progress, whole.split(b"\n"))
        progress = replace(progress, offset=progress.offset + len(whole))
        if is_last:
            return await self._finished(blob, progress)
        row = Row(keys.FLEET_PARTITION, _CURSOR, asdict(progress))
        await self._table.commit(keys.FLEET_PARTITION, [Write("upsert", row)])
        return progress

    async def _taken(self, blob: PendingBlob, progress: Progress, lines: Sequence[bytes]) -> Progress:
        """The lines of a piece: stored, and told to the records that there are."""
        found: dict[str, Leaf] = {}
        rejected: list[tuple[int, str]] = []
        for number, line in enumerate(lines, progress.lines + 1):
            if not line.strip():
                continue
            try:
                leaf = parse_leaf(line)
            except BadEvent as bad:
                rejected.append((number, bad.reason))
            else:
                found[leaf.registration_id.casefold()] = leaf
        if rejected:
            await self._blobs.reject(blob, rejected)
        await self._leaves.put(list(found.values()))
        return replace(
            progress,
            lines=progress.lines + len(lines) - (lines[-1] == b""),
            imported=progress.imported + len(found),
            rejected=progress.rejected + len(rejected),
            learned=progress.learned + await self._learn(blob.name, list(found.values())),
        )

    async def _learn(self, source: str, leaves: Sequence[Leaf]) -> int:
        """How many records of known devices changed."""
        names = await self._store.device_ids_of(leaf.registration_id for leaf in leaves)
        by_device = {names.get(leaf.registration_id, leaf.registration_id): leaf for leaf in leaves}
        now = self._clock.now()

        def reducer(device_id: str, record: DeviceRecord | None) -> Reduction | None:
            return learned(record, by_device[device_id], source, now, self._policies.renewal) if record else None

        return len(await self._store.update(by_device, reducer))

    async def _finished(self, blob: PendingBlob, progress: Progress, failure: str = "") -> Progress:
        outcome = {
            "importedat": format_instant(self._clock.now()),
            "lines": str(progress.lines),
            "imported": str(progress.imported),
            "rejected": str(progress.rejected),
            "failure": failure,
        }
        await self._blobs.finish(blob, {name: value for name, value in outcome.items() if value})
        row = Row(keys.FLEET_PARTITION, _CURSOR, {})
        await self._table.commit(keys.FLEET_PARTITION, [Write("delete", row)])
        _log.info("inventory %s: %s", blob.name, outcome)
        return progress


_TOO_LONG: Final = f"a line is longer than {PIECE_BYTES} bytes: this is no inventory"
