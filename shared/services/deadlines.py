"""The sweep: every deadline that has come is decided on, and what was decided is done.

Its cost follows what is due, not the fleet. A tick that was missed loses nothing: deadlines wait in the table.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Final

from shared.clock import Clock
from shared.domain import reasons
from shared.domain.applying import apply, delayed, evaluation_failed, postponed
from shared.domain.changes import Policies, Reduction
from shared.domain.deciding import DAILY, Action, Decision, decide
from shared.domain.events import IdentityDeleted
from shared.domain.parsing import read_twin
from shared.domain.record import DISPATCH_PATIENCE, DeviceRecord
from shared.domain.reducing import reduce
from shared.errors import BadEvent, InfrastructureFault
from shared.services.outbox import Outbox
from shared.services.pacing import Budget
from shared.services.ports import Hub
from shared.services.rows import Change, Stored
from shared.services.store import FleetStore

_log = logging.getLogger(__name__)

ROWS_A_SHARD: Final = 1000
_FAR: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class SweepOutcome:
    """What a sweep did. reasons: how many devices ended with which reason. worst_lag: of the oldest deadline."""

    examined: int = 0
    commands: int = 0
    over_budget: int = 0
    failed: int = 0
    worst_lag: timedelta = timedelta()
    reasons: Counter[str] = field(default_factory=Counter)


class Deadlines:
    """Decides on devices whose deadline has come."""

    def __init__(
        self,
        store: FleetStore,
        outbox: Outbox,
        hub: Hub,
        policies: Policies,
        budget: Budget,
        clock: Clock,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._hub = hub
        self._policies = policies
        self._budget = budget
        self._clock = clock

    async def sweep(self) -> SweepOutcome:
        """One tick over all shards. Raises: InfrastructureFault."""
        now = self._clock.now()
        shards = await asyncio.gather(*(self._store.due(p, now, ROWS_A_SHARD) for p in self._store.partitions))
        return await self.evaluate(chain.from_iterable(shards))

    async def evaluate(self, device_ids: Iterable[str]) -> SweepOutcome:
        """Decides on these devices now and does what was decided. Raises: InfrastructureFault."""
        now = self._clock.now()
        outcome = SweepOutcome()
        known = await self._store.load_many(device_ids)
        ordered = sorted(known.values(), key=lambda s: _time_left(s.record))  # the least time left goes first
        delays: dict[str, timedelta] = {}
        evaluated = [await self._evaluated(s, now, delays, outcome) for s in ordered]
        changes = [change for change in evaluated if change is not None]
        written = await self._store.write(
            changes
        )  # who met another's write keeps its deadline, and the next tick has it
        await self._outbox.dispatch(written, delays)
        return outcome

    async def _evaluated(
        self, known: Stored, now: datetime, delays: dict[str, timedelta], outcome: SweepOutcome
    ) -> Change | None:
        record = known.record
        outcome.examined += 1
        outcome.worst_lag = max(outcome.worst_lag, now - (record.due_at or now))
        try:
            decision = decide(record, now, self._policies.renewal)
            reduction = await self._carried_out(record, decision, now, delays, outcome)
        except InfrastructureFault as fault:
            _log.warning("%s keeps its deadline: %s", record.device_id, fault)
            outcome.failed += 1
            return None
        except Exception as bug:  # whatever a rule meets in one record, the sweep goes on with the others
            _log.exception("%s cannot be decided on", record.device_id)
            outcome.failed += 1
            reduction = evaluation_failed(record, f"{type(bug).__name__}: {bug}", now)
        outcome.reasons[reduction.record.reason] += 1
        return Change(known, reduction.record, reduction.history)

    async def _carried_out(
        self,
        record: DeviceRecord,
        decision: Decision,
        now: datetime,
        delays: dict[str, timedelta],
        outcome: SweepOutcome,
    ) -> Reduction:
        if decision.action is Action.LOOK_AT_TWIN:
            return await self._looked(record, decision, now)
        if decision.action is Action.CONTINUE_CONTAINMENT:
            return apply(record, replace(decision, action=Action.REPEAT_DISPATCH), now)
        if decision.action is not Action.SEND_COMMAND:
            return apply(record, decision, now)
        place = outcome.commands + outcome.over_budget
        delay = self._budget.delay(place)
        if not self._budget.has_room(place):
            outcome.over_budget += 1
            return postponed(record, decision, now + delay, now)
        outcome.commands += 1
        delays[record.device_id] = delay
        return apply(record, delayed(decision, delay), now)

    async def _looked(self, record: DeviceRecord, decision: Decision, now: datetime) -> Reduction:
        """The record after a look at its twin; a device that the hub does not know any more is retired."""
        event_id = f"look/{record.device_id}/{now.isoformat()}"
        base = apply(record, replace(decision, action=None), now)
        looked = replace(base.record, look_at=None)
        twin = await self._hub.get_twin(record.device_id)
        try:
            if twin is None:
                gone = IdentityDeleted(
                    event_id=event_id, enqueued_at=now, device_id=record.device_id, hub=record.hub, at=now
                )
                reduction = reduce(looked, gone, self._policies)
            else:
                news = read_twin(twin, device_id=record.device_id, hub=record.hub, event_id=event_id, at=now)
                reduction = reduce(looked, news, self._policies)
        except BadEvent as bad:
            _log.warning("the twin of %s cannot be read: %s", record.device_id, bad.reason)
            return Reduction(replace(looked, reason=reasons.EVALUATION_FAILED, next_deadline=now + DAILY), base.history)
        if reduction is None:
            return Reduction(looked, base.history)
        return Reduction(_with_outbox(reduction.record, now), (*base.history, *reduction.history))


def _with_outbox(record: DeviceRecord, now: datetime) -> DeviceRecord:
    return replace(record, dispatch_by=record.dispatch_by or now + DISPATCH_PATIENCE) if record.pending else record


def _time_left(record: DeviceRecord) -> datetime:
    return record.certificate.valid_until if record.certificate else _FAR
