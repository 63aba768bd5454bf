"""The hourly snapshot of the fleet: a scan of every shard's list in bounded steps, each of which is stored.

Row `cursor!snapshot` holds how far a scan is and what it has counted, row `snapshot!latest` the last that was finished
(both in the partition `fleet`). A million devices are a thousand pages: a few minutes, on from where they stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from shared.clock import Clock
from shared.contracts import parse_instant
from shared.domain.keys import FLEET_PARTITION
from shared.domain.policy import RenewalPolicy
from shared.domain.snapshot import Line, Tally
from shared.services.ports import Row, Table, Write
from shared.services.store import FleetStore

LATEST: Final = "snapshot!latest"
PROGRESS: Final = "cursor!snapshot"
STEP: Final = 5000
"""Devices between two stored cursors: five pages."""
RUN: Final = timedelta(minutes=4)
"""How long one run scans: less than the timer's interval and any function's timeout."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a scan is: the shard's number, the list key behind which it goes on, and what was counted."""

    shard: int
    after: str
    tally: Tally


class Snapshots:
    """Takes snapshots. interval: how old the latest may become. validity: of certificates that do not tell theirs."""

    def __init__(
        self,
        store: FleetStore,
        table: Table,
        clock: Clock,
        policy: RenewalPolicy,
        *,
        validity: timedelta,
        interval: timedelta = timedelta(hours=1),
        step: int = STEP,
    ) -> None:
        self._store = store
        self._table = table
        self._clock = clock
        self._policy = policy
        self._validity = validity
        self._interval = interval
        self._step = step

    async def run(self) -> Tally | None:
        """Goes on with a scan, or begins one where the latest is too old, until it is done or the time is over.

        Returns what was finished. Two runs at once count each for itself, and each stores a whole.
        Raises: InfrastructureFault; the next run goes on from the last step.
        """
        stop = self._clock.now() + RUN
        progress = await self._begun()
        while progress is not None and self._clock.now() < stop:
            if progress.shard == len(self._store.partitions):
                await self._finish(progress.tally)
                return progress.tally
            progress = await self._advance(progress)
        return None

    async def _begun(self) -> Progress | None:
        known = await self._table.get_many(FLEET_PARTITION, [PROGRESS, LATEST])
        if (row := known.get(PROGRESS)) is not None:
            return _progress(row)
        now = self._clock.now()
        taken = known[LATEST].values["takenAt"] if LATEST in known else None
        if isinstance(taken, datetime) and now - taken < self._interval:
            return None
        return Progress(0, "", Tally(at=now))

    async def _advance(self, progress: Progress) -> Progress:
        """One step, and the cursor stored."""
        partition = self._store.partitions[progress.shard]
        count, after = 0, progress.after
        async for row in self._store.by_expiry(partition, progress.after, self._step):
            progress.tally.add(_line(row), self._policy, self._validity)
            count, after = count + 1, row.key
        is_over = count < self._step
        advanced = replace(progress, shard=progress.shard + is_over, after="" if is_over else after)
        if count:
            await self._table.commit(FLEET_PARTITION, [Write("upsert", _row(advanced))])
        return advanced

    async def _finish(self, tally: Tally) -> None:
        taken = self._clock.now()
        row = Row(FLEET_PARTITION, LATEST, {"takenAt": taken, "snapshot": json.dumps(tally.to_document())})
        cursor = Row(FLEET_PARTITION, PROGRESS, {})
        await self._table.commit(FLEET_PARTITION, [Write("upsert", row), Write("delete", cursor)])


def read_snapshot(row: Row) -> Tally:
    """The snapshot in the row `snapshot!latest`."""
    return Tally.from_document(json.loads(str(row.values["snapshot"])))


def _row(progress: Progress) -> Row:
    document = {"shard": progress.shard, "after": progress.after, "tally": progress.tally.to_document()}
    return Row(FLEET_PARTITION, PROGRESS, {"progress": json.dumps(document)})


def _progress(row: Row) -> Progress:
    document: Mapping[str, Any] = json.loads(str(row.values["progress"]))
    return Progress(document["shard"], document["after"], Tally.from_document(document["tally"]))


def _line(row: Row) -> Line:
    return Line(
        state=str(row.values["state"]),
        reason=str(row.values["reason"]),
        valid_until=_instant(row, "validUntil"),
        valid_from=_instant(row, "validFrom"),
    )


def _instant(row: Row, name: str) -> datetime | None:
    value = row.values.get(name)
    return parse_instant(str(value)) if value is not None else None
