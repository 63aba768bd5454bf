"""Requests that may be sent again: the same caller's same `Idempotency-Key` has one effect and one answer, for a day.

A row `key!{hash}` in the partition `fleet` is claimed before the work and holds the answer behind it. Whoever dies in
between leaves a claim whose lease ends; the next request with the key goes on under the same id and instant, by which
the work is known again where it was done already.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import batched
from typing import Final, Literal

from shared.clock import Clock
from shared.domain import keys
from shared.domain.keys import FLEET_PARTITION
from shared.errors import Conflict, InFlight, KeyReused
from shared.services.ports import Row, Table, Value, Write

LIFE: Final = timedelta(days=1)
LEASE: Final = timedelta(minutes=5)
"""Longer than any request is worked on: Azure's front end cuts a request off after 230 s."""
PRUNED_AT_ONCE: Final = 5000
_CHUNK: Final = 30_000
"""Characters of one property; a property may have 32 Ki (Azure docs: Table storage)."""
_CURSOR: Final = "cursor!keys"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """An answer as it was given."""

    status: int
    headers: Mapping[str, str]
    media_type: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to do the work of a request.

    id: names the work, e.g. as an operation's id; at: when it was first asked for. is_again: an earlier request with
    the key has ended without an answer, and may have done it. A claim without a `row` is of a request without a key.
    """

    id: str
    at: datetime
    is_again: bool = False
    row: Row | None = None


class Idempotency:
    """Claims keys and remembers answers. new_id: makes a claim's id. pruned_at_once: rows that `prune` looks at."""

    def __init__(
        self, table: Table, clock: Clock, new_id: Callable[[], str], pruned_at_once: int = PRUNED_AT_ONCE
    ) -> None:
        self._table = table
        self._clock = clock
        self._new_id = new_id
        self._pruned_at_once = pruned_at_once

    def unclaimed(self) -> Claim:
        """For a request without a key."""
        return Claim(id=self._new_id(), at=self._clock.now())

    async def claim(self, caller: str, key: str, request: bytes) -> Claim | Remembered:
        """The right to work on a request, or the answer that it was given. request: all that it says.

        Raises: KeyReused where the key stands for another request, InFlight, InfrastructureFault.
        """
        row = self._row(keys.idempotency_key(caller, key), hashlib.sha256(request).hexdigest())
        try:
            return await self._claimed("insert", row)
        except Conflict:
            known = await self._table.get(FLEET_PARTITION, row.key)
        if known is None:
            raise InFlight(timedelta(seconds=1))  # it was released in this moment
        return await self._known(row, known)

    async def remember(self, claim: Claim, answer: Remembered) -> None:
        """Keeps the answer for whoever asks again. Raises: InfrastructureFault."""
        if claim.row is None:
            return
        parts = {f"body{n}": "".join(part) for n, part in enumerate(batched(answer.body, _CHUNK, strict=False))}
        values: dict[str, Value] = {
            **claim.row.values,
            **parts,
            "status": int(answer.status),
            "headers": json.dumps(dict(answer.headers)),
            "mediaType": answer.media_type,
        }
        await self._settle(Write("replace", replace(claim.row, values=values)))

    async def release(self, claim: Claim) -> None:
        """Nothing was done, and the request may be sent again. Raises: InfrastructureFault."""
        if claim.row is not None:
            await self._settle(Write("delete", claim.row))

    async def give_back(self, claim: Claim) -> None:
        """Something may have been done: the next request goes on at once, under the same id and instant.

        Raises: InfrastructureFault.
        """
        if claim.row is not None:
            values = {**claim.row.values, "leaseUntil": self._clock.now()}
            await self._settle(Write("replace", replace(claim.row, values=values)))

    async def prune(self) -> int:
        """Forgets some of the keys that are over a day old; the next call goes on. How many it were.

        Raises: InfrastructureFault.
        """
        cursor = await self._table.get(FLEET_PARTITION, _CURSOR)
        low, high = keys.idempotency_range(str(cursor.values["after"]) if cursor else "")
        rows = [row async for row in self._table.scan(FLEET_PARTITION, low, high, self._pruned_at_once)]
        over = [row for row in rows if self._is_over(row)]
        for batch in batched(over, 100, strict=False):
            await self._table.commit(FLEET_PARTITION, [Write("delete", row) for row in batch])
        after = rows[-1].key if len(rows) == self._pruned_at_once else ""
        if cursor is not None or after:
            remembered = Row(FLEET_PARTITION, _CURSOR, {"after": after})
            await self._table.commit(FLEET_PARTITION, [Write("upsert" if after else "delete", remembered)])
        return len(over)

    async def _known(self, row: Row, known: Row) -> Claim | Remembered:
        if self._is_over(known):
            return await self._taken_over(replace(row, etag=known.etag))
        if known.values["request"] != row.values["request"]:
            raise KeyReused
        if "status" in known.values:
            return _answer(known)
        left = _instant(known, "leaseUntil") - self._clock.now()
        if left > timedelta():
            raise InFlight(left)
        _log.warning("a request of %s ended without an answer and is worked on again", known.values["claimedAt"])
        values = {**known.values, "leaseUntil": row.values["leaseUntil"]}
        claim = await self._taken_over(replace(known, values=values))
        return replace(claim, is_again=True)

    async def _taken_over(self, row: Row) -> Claim:
        try:
            return await self._claimed("replace", row)
        except Conflict as conflict:
            raise InFlight(LEASE) from conflict

    async def _claimed(self, kind: Literal["insert", "replace"], row: Row) -> Claim:
        etags = await self._table.commit(FLEET_PARTITION, [Write(kind, row)])
        claimed = replace(row, etag=etags[row.key])
        return Claim(id=str(row.values["id"]), at=_instant(row, "claimedAt"), row=claimed)

    async def _settle(self, write: Write) -> None:
        try:
            await self._table.commit(FLEET_PARTITION, [write])
        except Conflict:
            _log.warning("the request outlasted its lease: another has taken its place")

    def _row(self, key: str, request: str) -> Row:
        now = self._clock.now()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as every store keeps it
        values: dict[str, Value] = {
            "id": self._new_id(),
            "request": request,
            "claimedAt": now,
            "leaseUntil": now + LEASE,
        }
        return Row(FLEET_PARTITION, key, values)

    def _is_over(self, row: Row) -> bool:
        return _instant(row, "claimedAt") + LIFE <= self._clock.now()


def _answer(row: Row) -> Remembered:
    parts = (row.values.get(f"body{n}") for n in range(len(row.values)))
    return Remembered(
        status=int(str(row.values["status"])),
        headers=json.loads(str(row.values["headers"])),
        media_type=str(row.values["mediaType"]),
        body="".join(str(part) for part in parts if part is not None),
    )


def _instant(row: Row, name: str) -> datetime:
    value = row.values[name]
    if not isinstance(value, datetime):
        raise TypeError(f"{row.key}: {name} is no instant")
    return value
