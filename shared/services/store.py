"""The fleet table as the services use it: records by device, deadlines by time, all of a device's rows in one write."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Final

import msgspec

from shared.domain import keys
from shared.domain.changes import Reduction
from shared.domain.record import DeviceRecord
from shared.errors import Conflict, FleetcertError, InfrastructureFault, SettingsError
from shared.logs import about
from shared.services.ports import Row, Table, Write
from shared.services.rows import Change, Stored, stored, writes

_log = logging.getLogger(__name__)

TRANSACTION_LIMIT: Final = 100
"""Operations in one entity-group transaction (Azure docs: Table storage)."""
TRANSACTION_BYTES: Final = 3 * 2**20
"""A transaction's payload may have 4 MiB; the rest is room for its envelope."""
TRIES: Final = 8
"""How often a record is read and reduced again when others keep writing it."""

type Batch = list[tuple[Change, list[Write]]]
type Reducer = Callable[[str, DeviceRecord | None], Reduction | None]


class FleetStore:
    """Reads and writes device records. `shards` is fixed for the life of the table."""

    def __init__(self, table: Table, shards: int) -> None:
        self._table = table
        self._shards = shards
        self.partitions: Final = keys.shard_names(shards)

    async def check_layout(self) -> None:
        """Remembers the number of shards in a new table, and refuses another number later.

        Raises: SettingsError.
        """
        key = keys.setting_key("shards")
        row = await self._table.get(keys.FLEET_PARTITION, key)
        if row is None:
            row = Row(keys.FLEET_PARTITION, key, {"value": self._shards})
            try:
                await self._table.commit(keys.FLEET_PARTITION, [Write("insert", row)])
            except Conflict:
                row = await self._table.get(keys.FLEET_PARTITION, key)
        if row is not None and row.values["value"] != self._shards:
            raise SettingsError("SHARDS", f"the table was made with {row.values['value']}, and that cannot change")

    async def load(self, device_id: str) -> Stored | None:
        """One record, or None."""
        row = await self._table.get(self._partition(device_id), keys.device_key(device_id))
        return stored(row) if row else None

    async def load_many(self, device_ids: Iterable[str], *, skip_broken: bool = False) -> dict[str, Stored]:
        """The records of those devices that have one. skip_broken: leaves out those that cannot be read, with a log."""
        groups: dict[str, list[str]] = defaultdict(list)
        for device_id in device_ids:
            groups[self._partition(device_id)].append(keys.device_key(device_id))
        answers = await asyncio.gather(*(self._table.get_many(p, wanted) for p, wanted in groups.items()))
        rows = [row for answer in answers for row in answer.values()]
        records = [s for row in rows if (s := _readable(row) if skip_broken else stored(row)) is not None]
        return {s.record.device_id: s for s in records}

    async def update(
        self,
        device_ids: Iterable[str],
        reducer: Reducer,
        known: Mapping[str, Stored] | None = None,
        *,
        ready: Callable[[], Awaitable[None]] | None = None,
    ) -> list[Stored]:
        """Reads, reduces and writes each record; who meets another's write reads again. Returns what was written.

        known: the records as they were a moment ago, which spares the first read. The reducer may be called several
        times for a device; None from it leaves the record as it is. ready: what has to be safe before the records are
        written. Raises: InfrastructureFault where others keep writing.
        """
        written: list[Stored] = []
        wanted = set(device_ids)
        for attempt in range(TRIES):
            known = known if known is not None and attempt == 0 else await self.load_many(wanted)
            changes = [c for d in sorted(wanted) if (c := _change(d, known.get(d), reducer)) is not None]
            if ready is not None:
                await ready()
            done = await self.write(changes, together=attempt < 2)
            written.extend(done)
            wanted = {c.after.device_id for c in changes} - {s.record.device_id for s in done}
            if not wanted:
                return written
        raise InfrastructureFault("table", f"{len(wanted)} records kept changing")

    async def write(
        self, changes: Sequence[Change], *, together: bool = True, skip_broken: bool = False
    ) -> list[Stored]:
        """Writes whole devices, many a transaction where `together`. Returns those that met no other's write.

        skip_broken: leaves out those that storage refuses as they are, with a log, instead of raising.
        """
        groups: dict[str, list[Change]] = defaultdict(list)
        for change in changes:
            groups[self._partition(change.after.device_id)].append(change)
        batches = [(p, b) for p, group in groups.items() for b in _batches(p, group, together)]
        commit = self._commit_what_is_sound if skip_broken else self._commit
        outcomes = await asyncio.gather(*(commit(partition, batch) for partition, batch in batches))
        return list(chain.from_iterable(outcomes))

    async def _commit(self, partition: str, batch: Batch) -> list[Stored]:
        try:
            etags = await self._table.commit(partition, [write for _, operations in batch for write in operations])
        except Conflict:
            return []
        return [Stored(change.after, etags[keys.device_key(change.after.device_id)]) for change, _ in batch]

    async def _commit_what_is_sound(self, partition: str, batch: Batch) -> list[Stored]:
        try:
            return await self._commit(partition, batch)
        except InfrastructureFault:
            raise
        except FleetcertError:
            if len(batch) == 1:
                device_id = batch[0][0].after.device_id
                _log.exception("storage refuses the record of %s", device_id, extra=about(device_id=device_id))
                return []
        alone = [await self._commit_what_is_sound(partition, [one]) for one in batch]
        return list(chain.from_iterable(alone))

    async def due(self, partition: str, now: datetime, limit: int) -> list[str]:
        """The devices of a shard whose deadline has come, the longest overdue first."""
        rows = self._table.scan(partition, keys.DUE, keys.due_until(now), limit)
        return [str(row.values["deviceId"]) async for row in rows]

    def by_expiry(self, partition: str, after: str, limit: int) -> AsyncIterator[Row]:
        """The list rows of a shard behind the key `after` ("" from the start), the earliest expiry first."""
        return self._table.scan(partition, *keys.expires_range(after), limit)

    async def device_ids_of(self, registration_ids: Iterable[str]) -> dict[str, str]:
        """Registration id -> device id, for those registration ids that lead to a device of another name."""
        places = {keys.registration_key(identifier): identifier for identifier in registration_ids}
        rows = await self._table.get_many(keys.FLEET_PARTITION, list(places))
        return {places[key]: str(row.values["deviceId"]) for key, row in rows.items()}

    async def remember_registration(self, registration_id: str, device_id: str) -> None:
        """From now on the registration id leads to this device."""
        row = Row(keys.FLEET_PARTITION, keys.registration_key(registration_id), {"deviceId": device_id})
        await self._table.commit(keys.FLEET_PARTITION, [Write("upsert", row)])

    async def history(self, device_id: str, limit: int) -> list[Row]:
        """The newest rows of a device's history."""
        low, high = keys.history_range(device_id)
        return [row async for row in self._table.scan(self._partition(device_id), low, high, limit)]

    def _partition(self, device_id: str) -> str:
        return keys.shard_of(device_id, self._shards)


def _readable(row: Row) -> Stored | None:
    try:
        return stored(row)
    except (KeyError, msgspec.ValidationError, msgspec.DecodeError):
        _log.exception("the record in row %s/%s cannot be read", row.partition, row.key)
        return None


def _change(device_id: str, known: Stored | None, reducer: Reducer) -> Change | None:
    reduction = reducer(device_id, known.record if known else None)
    return Change(known, reduction.record, reduction.history) if reduction else None


def _batches(partition: str, changes: list[Change], together: bool) -> Iterable[Batch]:
    batch: Batch = []
    count = size = 0
    for change in changes:
        operations = writes(partition, change)
        weight = sum(map(_weight, operations))
        is_full = count + len(operations) > TRANSACTION_LIMIT or size + weight > TRANSACTION_BYTES
        if batch and (not together or is_full):
            yield batch
            batch, count, size = [], 0, 0
        batch.append((change, operations))
        count += len(operations)
        size += weight
    if batch:
        yield batch


def _weight(write: Write) -> int:
    """About how many bytes the operation takes in a transaction."""
    texts = (value for value in write.row.values.values() if isinstance(value, str))
    return 700 + 2 * sum(map(len, texts))  # the multipart envelope and the names, and JSON's escapes
