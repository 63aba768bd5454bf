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
from shared.domain.applying import apply, delayed, evaluation_failed, postponed
from shared.domain.changes import Policies, Reduction
from shared.domain.circumstances import Circumstances
from shared.domain.deciding import Action, Decision, decide
from shared.domain.record import DeviceRecord
from shared.errors import InfrastructureFault
from shared.logs import about
from shared.services.ledger import Ledger, Minute
from shared.services.looking import LOOK_AGAIN, Looks
from shared.services.outbox import Outbox
from shared.services.pacing import Budget
from shared.services.ports import CircumstancesNow, Hub
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
        circumstances: CircumstancesNow | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._looks = Looks(hub, policies)
        self._policies = policies
        self._budget = budget
        self._clock = clock
        self._circumstances = circumstances
        self._ledger = ledger

    async def sweep(self) -> SweepOutcome:
        """One tick over all shards. Raises: InfrastructureFault."""
        now = self._clock.now()
        shards = await asyncio.gather(*(self._store.due(p, now, ROWS_A_SHARD) for p in self._store.partitions))
        return await self.evaluate(chain.from_iterable(shards))

    async def evaluate(self, device_ids: Iterable[str]) -> SweepOutcome:
        """Decides on these devices now and does what was decided. Raises: InfrastructureFault."""
        circumstances = await self._circumstances.current() if self._circumstances else Circumstances()
        now = self._clock.now()
        minute = await self._ledger.open(now) if self._ledger else Minute(self._budget, now)
        tick = _Tick(now, circumstances, minute)
        known = await self._store.load_many(device_ids, skip_broken=True)
        ordered = sorted(known.values(), key=lambda s: _time_left(s.record))  # the least time left goes first
        changes = [await self._evaluated(stored, tick) for stored in ordered]
        written = await self._store.write(changes, skip_broken=True)  # who met another's write is due at the next tick
        await self._outbox.dispatch(written, tick.delays)
        if self._ledger:
            await self._ledger.book(minute, now)
        return tick.outcome

    async def _evaluated(self, known: Stored, tick: _Tick) -> Change:
        record, outcome = known.record, tick.outcome
        outcome.examined += 1
        outcome.worst_lag = max(outcome.worst_lag, tick.now - (record.due_at or tick.now))
        try:
            reduction = await self._decided(record, tick)
        except Exception as bug:  # whatever a rule meets in one record, the sweep goes on with the others
            _log.exception("%s cannot be decided on", record.device_id, extra=about(device_id=record.device_id))
            outcome.failed += 1
            reduction = evaluation_failed(record, f"{type(bug).__name__}: {bug}", tick.now)
        outcome.reasons[reduction.record.reason] += 1
        return Change(known, reduction.record, reduction.history)

    async def _decided(self, record: DeviceRecord, tick: _Tick) -> Reduction:
        decision = self._decision(record, tick)
        if decision.action is not Action.LOOK_AT_TWIN:
            return self._carried_out(record, decision, tick)
        try:
            return await self._looks.look(record, decision, tick.now)
        except InfrastructureFault as fault:
            fields = about(device_id=record.device_id)
            _log.warning("the twin of %s is looked at later: %s", record.device_id, fault, extra=fields)
            tick.outcome.failed += 1
        later = tick.now + LOOK_AGAIN
        if record.certificate is None:
            return Reduction(replace(record, look_at=None, next_deadline=later))
        waiting = replace(record, look_at=later)
        return self._carried_out(waiting, self._decision(waiting, tick), tick)

    def _decision(self, record: DeviceRecord, tick: _Tick) -> Decision:
        return decide(record, tick.now, self._policies.renewal, tick.circumstances)

    def _carried_out(self, record: DeviceRecord, decision: Decision, tick: _Tick) -> Reduction:
        now = tick.now
        if decision.action is Action.CONTINUE_CONTAINMENT:
            return apply(record, replace(decision, action=Action.REPEAT_DISPATCH), now)
        if not _sends(decision):
            return apply(record, decision, now)
        delay = tick.minute.take(now)
        if delay is None:
            tick.outcome.over_budget += 1
            return postponed(record, decision, tick.minute.slot(), now)
        tick.outcome.commands += 1
        tick.delays[record.device_id] = delay
        return apply(record, delayed(record, decision, delay), now)


@dataclass(slots=True)
class _Tick:
    """What one evaluation shares: its instant, its circumstances, and the minute in which commands take places."""

    now: datetime
    circumstances: Circumstances
    minute: Minute
    outcome: SweepOutcome = field(default_factory=SweepOutcome)
    delays: dict[str, timedelta] = field(default_factory=dict)


def _sends(decision: Decision) -> bool:
    """Whether a command leaves: a new one, or one whose first dispatch nobody confirmed."""
    if decision.action is Action.REPEAT_DISPATCH:
        return decision.command is not None and decision.command.sent_at is None
    return decision.action is Action.SEND_COMMAND


def _time_left(record: DeviceRecord) -> datetime:
    return record.certificate.valid_until if record.certificate else _FAR
