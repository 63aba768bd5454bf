"""The rows of a pass of `reconcile`: its cursor, the marks of what the hub has listed, DPS's enrollment groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Final

from shared.domain import keys, passes
from shared.domain.inventory import EnrollmentGroup
from shared.domain.passes import Pass
from shared.services.ports import Row, Table, Value, Write

_PARTITION: Final = keys.FLEET_PARTITION
_TRANSACTION: Final = 100
"""Operations in one entity-group transaction (Azure docs: Table storage)."""


@dataclass(frozen=True, slots=True)
class StoredPass:
    """A pass as it was read or written, with the ETag that the next write must meet."""

    value: Pass
    etag: str


class PassRows:
    """Reads and writes them. Whatever is written twice is the same."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._seen: tuple[tuple[str, str], frozenset[str]] | None = None  # of the shard that was asked for last

    async def load(self) -> tuple[StoredPass | None, bool]:
        """The latest pass, and whether somebody has asked for another."""
        rows = await self._table.get_many(_PARTITION, [passes.CURSOR_KEY, passes.REQUEST_KEY])
        row = rows.get(passes.CURSOR_KEY)
        latest = StoredPass(Pass.from_values(row.values), row.etag or "") if row else None
        return latest, passes.REQUEST_KEY in rows

    async def open(self, new: Pass, latest: StoredPass | None) -> StoredPass:
        """Begins a pass, which answers the request for one. Raises: Conflict."""
        cursor = Row(_PARTITION, passes.CURSOR_KEY, new.to_values(), latest.etag if latest else None)
        answered = Write("delete", Row(_PARTITION, passes.REQUEST_KEY, {}))
        etags = await self._table.commit(_PARTITION, [Write("replace" if latest else "insert", cursor), answered])
        return StoredPass(new, etags[passes.CURSOR_KEY])

    async def save(self, value: Pass, etag: str) -> StoredPass:
        """Stores how far the pass has come. Raises: Conflict where somebody else has moved it."""
        row = Row(_PARTITION, passes.CURSOR_KEY, value.to_values(), etag)
        etags = await self._table.commit(_PARTITION, [Write("replace", row)])
        return StoredPass(value, etags[passes.CURSOR_KEY])

    async def mark(self, value: Pass, device_ids: Iterable[str]) -> None:
        """Remembers that the page of the pass held these devices."""
        shards: dict[str, list[str]] = defaultdict(list)
        for device_id in device_ids:
            shards[keys.shard_of(device_id, value.shards)].append(device_id)
        writes = [
            Write(
                "upsert", Row(_PARTITION, passes.seen_key(value.id, shard, value.pages), {"seen": passes.joined(ids)})
            )
            for shard, ids in shards.items()
        ]
        await self._commit(writes)

    async def seen(self, value: Pass, partition: str) -> frozenset[str]:
        """The marks of all devices of a shard that the hub has listed."""
        place = (value.id, partition)
        if self._seen is None or self._seen[0] != place:
            low, high = passes.seen_range(value.id, partition)
            rows = [row async for row in self._table.scan(_PARTITION, low, high)]
            marks = frozenset(mark for row in rows for mark in passes.parted(str(row.values["seen"])))
            self._seen = (place, marks)
        return self._seen[1]

    async def clear(self, value: Pass, limit: int) -> bool:
        """Removes marks, at most `limit` rows; whether none are left."""
        low, high = passes.seen_range(value.id)
        rows = [row async for row in self._table.scan(_PARTITION, low, high, limit)]
        await self._commit([Write("delete", Row(_PARTITION, row.key, {})) for row in rows])
        return len(rows) < limit

    async def put_groups(self, groups: Sequence[EnrollmentGroup]) -> None:
        """Stores the enrollment groups as DPS has them now; those that it has no more are removed."""
        current = {passes.group_key(group.id): group for group in groups}
        known = [row.key async for row in self._table.scan(_PARTITION, *passes.GROUPS)]
        gone = [Write("delete", Row(_PARTITION, key, {})) for key in known if key not in current]
        await self._commit([Write("upsert", Row(_PARTITION, key, _values(g))) for key, g in current.items()] + gone)

    async def groups(self) -> list[EnrollmentGroup]:
        """The enrollment groups that are stored, by id."""
        groups = [_group(row) async for row in self._table.scan(_PARTITION, *passes.GROUPS)]
        return sorted(groups, key=lambda group: group.id)

    async def _commit(self, writes: Sequence[Write]) -> None:
        for batch in batched(writes, _TRANSACTION, strict=False):
            await self._table.commit(_PARTITION, batch)


def _values(group: EnrollmentGroup) -> dict[str, Value]:
    values: dict[str, Value] = {
        "enrollmentGroupId": group.id,
        "attestation": group.attestation,
        "enabled": group.enabled,
    }
    if group.credential_policy is not None:
        values["credentialPolicy"] = group.credential_policy
    return values


def _group(row: Row) -> EnrollmentGroup:
    policy = row.values.get("credentialPolicy")
    return EnrollmentGroup(
        id=str(row.values["enrollmentGroupId"]),
        attestation=str(row.values["attestation"]),
        credential_policy=str(policy) if policy is not None else None,
        enabled=bool(row.values["enabled"]),
    )
