"""The rows `leaf!{registration id}`: the onboarding leaves of all inventories that were imported, the last one's first.

A leaf lies in the shard of its registration id, which is the device's where device and registration have one id.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import batched
from typing import Final

from shared.domain import keys
from shared.domain.leaves import Leaf
from shared.services.ports import Row, Table, Value, Write

_EXIST: Final = keys.setting_key("leaves")
_TRANSACTION: Final = 50
"""Rows of 2 KB each: well below what a transaction may hold."""


class LeafRows:
    """Reads and writes them. `shards` is the table's."""

    def __init__(self, table: Table, shards: int) -> None:
        self._table = table
        self._shards = shards

    async def of(self, registration_ids: Iterable[str]) -> dict[str, Leaf]:
        """The leaves of those registration ids that have one; one read where there is no inventory at all.

        Raises: InfrastructureFault.
        """
        if await self._table.get(keys.FLEET_PARTITION, _EXIST) is None:
            return {}
        groups: dict[str, dict[str, str]] = defaultdict(dict)
        for registration_id in registration_ids:
            groups[self._partition(registration_id)][keys.leaf_key(registration_id)] = registration_id
        answers = await asyncio.gather(*(self._table.get_many(p, list(wanted)) for p, wanted in groups.items()))
        found = zip(groups.values(), answers, strict=True)
        return {wanted[key]: _leaf(row) for wanted, answer in found for key, row in answer.items()}

    async def put(self, leaves: Sequence[Leaf]) -> None:
        """Stores them; whoever had another leaf has this one from now on. Raises: InfrastructureFault."""
        if not leaves:
            return
        exist = Row(keys.FLEET_PARTITION, _EXIST, {"value": True})
        await self._table.commit(keys.FLEET_PARTITION, [Write("upsert", exist)])
        groups: dict[str, dict[str, Write]] = defaultdict(dict)
        for leaf in leaves:
            partition = self._partition(leaf.registration_id)
            write = Write("upsert", _row(partition, leaf))
            groups[partition][write.row.key] = write
        commits = [
            self._table.commit(partition, batch)
            for partition, writes in groups.items()
            for batch in batched(writes.values(), _TRANSACTION, strict=False)
        ]
        await asyncio.gather(*commits)

    def _partition(self, registration_id: str) -> str:
        return keys.shard_of(registration_id.casefold(), self._shards)


def _row(partition: str, leaf: Leaf) -> Row:
    values: dict[str, Value] = {
        "registrationId": leaf.registration_id,
        "thumbprint": leaf.thumbprint,
        "validUntil": leaf.valid_until,
        "pem": leaf.pem,
    }
    return Row(partition, keys.leaf_key(leaf.registration_id), values)


def _leaf(row: Row) -> Leaf:
    valid_until = row.values["validUntil"]
    if not isinstance(valid_until, datetime):
        raise TypeError(f"{valid_until!r} is no instant")
    return Leaf(
        registration_id=str(row.values["registrationId"]),
        thumbprint=str(row.values["thumbprint"]),
        valid_until=valid_until,
        pem=str(row.values["pem"]),
    )
