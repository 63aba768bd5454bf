"""Reconciling: the whole fleet is read from the hub and from DPS, page by page, and the table is put right by it.

So that a lost event is found within a pass, and a first installation on an existing fleet needs nothing else. A pass
is a walk through phases; after each page its row is written, and whoever comes next goes on from there. Twins come
first, for they make the records that DPS's registrations then complete; what the table knows and the hub never listed
is read one by one, and retired where the hub says so.

At a million devices and 10 queries a minute of 1,000 twins a pass takes two hours: 1,000 queries, 2 million point reads
of records, 4,000 small writes and 2,000 reads of lists (counted at 30,000, and in proportion); and a write for what was
wrong.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final, Protocol

from shared.clock import Clock
from shared.domain.inventory import EnrollmentGroup, Registration
from shared.domain.keys import stamp
from shared.domain.passes import Pass, Phase, mark
from shared.errors import Conflict, FleetcertError, Throttled
from shared.services.pass_rows import PassRows, StoredPass
from shared.services.repairing import Repairs, Twin
from shared.services.store import FleetStore

_log = logging.getLogger(__name__)

ROWS_A_STEP: Final = 1000
_MINUTE: Final = timedelta(minutes=1)

type Page[T] = tuple[Sequence[T], str | None]
"""What a list gave, and where it goes on (None: it ends here)."""


class ContinuationExpired(FleetcertError):
    """A list does not go on from where we were: it must be read from its start."""


class FleetQuery(Protocol):
    """The hub's devices, all of them."""

    async def count(self) -> int:
        """How many devices the hub has."""

    async def page(self, continuation: str | None) -> Page[Twin]:
        """At most 1,000 whole twins. Raises: ContinuationExpired."""


class Enrolled(Protocol):
    """DPS's enrollments, and who came in through them."""

    async def list(self) -> Sequence[EnrollmentGroup]:
        """All groups."""

    async def registrations(self, group: str, continuation: str | None) -> Page[Registration]:
        """At most 1,000 devices that are registered through the group. Raises: ContinuationExpired."""

    async def individuals(self, continuation: str | None) -> Page[Registration]:
        """Those of at most 1,000 individual enrollments, each with its policy. Raises: ContinuationExpired."""


type Pause = Callable[[timedelta], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a pass goes.

    every: from the start of a pass to the next. step: the longest time of one call. queries: the hub's throttle (Azure
    docs: 20 a minute and unit in S1 and S2), of which `share` is ours; others query too.
    """

    every: timedelta = timedelta(days=1)
    step: timedelta = timedelta(minutes=4)
    queries: int = 20
    share: Fraction = Fraction(1, 2)

    @property
    def interval(self) -> timedelta:
        """From one query of the hub to the next."""
        return _MINUTE / max(1, int(self.queries * self.share))


async def sleep(duration: timedelta) -> None:
    """Waits."""
    await asyncio.sleep(duration.total_seconds())


class Reconciling:
    """Walks through passes."""

    def __init__(
        self,
        store: FleetStore,
        rows: PassRows,
        repairs: Repairs,
        query: FleetQuery,
        enrolled: Enrolled,
        pace: Pace,
        clock: Clock,
        pause: Pause = sleep,
    ) -> None:
        self._store = store
        self._rows = rows
        self._repairs = repairs
        self._query = query
        self._enrolled = enrolled
        self._pace = pace
        self._clock = clock
        self._pause = pause

    async def step(self) -> Pass | None:
        """Goes on with the pass that is open, or opens one where it is time; None where there is nothing to do.

        Raises: InfrastructureFault; the next call goes on from the last page that was done.
        """
        ends = self._clock.now() + self._pace.step
        try:
            current = await self._begun()
            while current and current.value.finished_at is None and await self._has_turn(current.value, ends):
                current = await self._advanced(current)
        except Conflict:
            _log.info("another instance goes on with this pass")
            return None
        return current.value if current else None

    async def _begun(self) -> StoredPass | None:
        """The pass that is open, or a new one where one is due or was asked for. Raises: Conflict."""
        latest, is_requested = await self._rows.load()
        now = self._clock.now()
        if latest and latest.value.finished_at is None:
            return latest
        if latest and not is_requested and now - latest.value.started_at < self._pace.every:
            return None
        expected = await self._query.count()
        shards = len(self._store.partitions)
        new = Pass(id=stamp(now), started_at=now, next_request_at=now, expected=expected, shards=shards)
        _log.info("pass %s begins: the hub has %d devices", new.id, expected)
        return await self._rows.open(new, latest)

    async def _has_turn(self, value: Pass, ends: datetime) -> bool:
        """Waits until the throttle allows a request; False where that is not within this step."""
        wait = value.next_request_at - self._clock.now()
        if self._clock.now() + max(wait, timedelta()) >= ends:
            return False
        if wait > timedelta():
            await self._pause(wait)
        return True

    async def _advanced(self, current: StoredPass) -> StoredPass:
        """One page further. Raises: Conflict, InfrastructureFault."""
        try:
            moved = await self._moved(current.value)
        except Throttled as throttled:
            _log.info("pass %s waits: %s", current.value.id, throttled)
            moved = replace(current.value, next_request_at=self._clock.now() + throttled.retry_after)
        except ContinuationExpired as expired:
            _log.warning("pass %s reads %s again from the start: %s", current.value.id, current.value.phase, expired)
            moved = current.value.restarted()
        return await self._rows.save(moved, current.etag)

    async def _moved(self, value: Pass) -> Pass:
        match value.phase:
            case Phase.TWINS:
                return await self._twins(value)
            case Phase.GROUPS:
                await self._rows.put_groups(await self._enrolled.list())
                return value.entering(Phase.REGISTRATIONS)
            case Phase.REGISTRATIONS:
                return await self._registrations(value)
            case Phase.INDIVIDUALS:
                return await self._individuals(value)
            case Phase.ABSENT:
                return await self._absent(value)
            case _:
                return await self._cleared(value)

    async def _twins(self, value: Pass) -> Pass:
        asked_at = self._clock.now()
        twins, continuation = await self._query.page(value.continuation or None)
        tally = await self._repairs.by_twins(value.id, twins)
        await self._rows.mark(value, [str(twin["deviceId"]) for twin in twins])
        counted = replace(value, pages=value.pages + 1).counting(tally)
        if not continuation:
            return counted.entering(Phase.GROUPS)
        return replace(counted, continuation=continuation, next_request_at=asked_at + self._pace.interval)

    async def _registrations(self, value: Pass) -> Pass:
        """A page of a group. DPS's throttle is 1,000 requests a minute (Azure docs), which pages cannot reach."""
        group = next((g for g in await self._rows.groups() if g.id >= value.group), None)
        if group is None:
            return value.entering(Phase.INDIVIDUALS)
        continuation = value.continuation if value.group == group.id else ""
        registrations, rest = await self._enrolled.registrations(group.id, continuation or None)
        through = [replace(r, group=group.id, credential_policy=group.credential_policy) for r in registrations]
        counted = value.counting(await self._repairs.by_registrations(value.id, through))
        if rest:
            return replace(counted, group=group.id, continuation=rest)
        return replace(counted, group=f"{group.id} ", continuation="")  # a space sorts below all characters of an id

    async def _individuals(self, value: Pass) -> Pass:
        """A page of individual enrollments, which win over groups and so come after them."""
        registrations, rest = await self._enrolled.individuals(value.continuation or None)
        counted = value.counting(await self._repairs.by_registrations(value.id, registrations))
        return replace(counted, continuation=rest) if rest else counted.entering(Phase.ABSENT)

    async def _absent(self, value: Pass) -> Pass:
        """A page of a shard's list: what the hub has not listed is looked at."""
        if value.shard >= value.shards:
            return value.entering(Phase.CLEARING)
        partition = self._store.partitions[value.shard]
        seen = await self._rows.seen(value, partition)
        rows = [row async for row in self._store.by_expiry(partition, value.after, ROWS_A_STEP)]
        ours = [str(row.values["deviceId"]) for row in rows if self._repairs.is_ours(str(row.values["hub"]))]
        absent = [device_id for device_id in ours if mark(device_id) not in seen]
        counted = value.counting(await self._repairs.by_looks(value.id, absent))
        if len(rows) < ROWS_A_STEP:
            return replace(counted, shard=value.shard + 1, after="")
        return replace(counted, after=rows[-1].key)

    async def _cleared(self, value: Pass) -> Pass:
        if not await self._rows.clear(value, ROWS_A_STEP):
            return value
        finished = replace(value.entering(Phase.DONE), finished_at=self._clock.now())
        _log.info("pass %s is done: %s", value.id, finished)
        return finished
