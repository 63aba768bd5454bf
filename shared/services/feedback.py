"""Draining IoT Hub's feedback: what became of our commands moves their records.

A hub has one feedback queue for all of its back ends, and a message in it is a batch that may hold answers to commands
of several. Ours are taken from every batch. A batch that holds nothing else is completed; one that holds a record of
somebody else, or one that cannot be read, is given back whole, because to complete it would take it from its owner.
What was given back comes again and changes nothing. Each delivery counts, and after ten the hub drops a batch: so a
batch is held until the end of the drain, and after a drain that gave any back, the next ones rest for a while.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from shared import telemetry
from shared.clock import Clock
from shared.domain.answering import Answer, Delivery, command_answered, may_be_ours, read_answers
from shared.domain.changes import Reduction
from shared.domain.history import HistoryEntry
from shared.domain.record import DeviceRecord
from shared.errors import Conflict, InfrastructureFault
from shared.services.store import FleetStore

_log = logging.getLogger(__name__)

BATCHES_A_DRAIN: Final = 64
LONGEST_DRAIN: Final = timedelta(seconds=30)
"""Half of the minute for which the hub lends a batch by default (Azure docs: IoT Hub devguide, messages-c2d)."""
REST: Final = timedelta(minutes=7)
"""A batch lives for an hour and ten deliveries by default: at this pace the last one is never ours."""
HISTORY_LOOKED_AT: Final = 50


@dataclass(frozen=True, slots=True)
class FeedbackBatch:
    """A feedback message as the hub lends it. body: the JSON array of its records."""

    lock_token: str
    body: bytes


class FeedbackQueue(Protocol):
    """The hub's one queue of feedback. Every method may raise InfrastructureFault."""

    async def receive(self) -> FeedbackBatch | None:
        """Borrows the oldest batch that nobody holds; None where there is none."""

    async def complete(self, lock_token: str) -> None:
        """Removes the batch. Raises: Conflict where the loan has ended."""

    async def abandon(self, lock_token: str) -> None:
        """Gives the batch back. Raises: Conflict where the loan has ended."""


@dataclass(slots=True)
class DrainOutcome:
    """What a drain met. moved: records that changed; late: answers to commands that the record has left behind."""

    batches: int = 0
    given_back: int = 0
    moved: int = 0
    late: int = 0
    foreign: int = 0


class Feedback:
    """Takes our answers from the queue. Silence leads to the same end, later: nothing here has to succeed."""

    def __init__(self, store: FleetStore, queue: FeedbackQueue, clock: Clock, *, enabled: bool = True) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock
        self._enabled = enabled
        self._rests_until = datetime.min.replace(tzinfo=UTC)  # of this instance: a courtesy, nothing depends on it

    async def drain(self) -> DrainOutcome:
        """Empties the queue of what is ours. Raises: InfrastructureFault, after giving back what it holds."""
        outcome, started = DrainOutcome(), self._clock.now()
        if not self._enabled or started < self._rests_until:
            return outcome
        held: list[str] = []
        try:
            while outcome.batches < BATCHES_A_DRAIN and self._clock.now() - started < LONGEST_DRAIN:
                if (batch := await self._queue.receive()) is None:
                    break
                outcome.batches += 1
                held.append(batch.lock_token)
                if await self._take(batch, outcome):
                    await self._settle(held.pop(), completes=True)
        finally:
            for lock_token in held:
                await self._settle(lock_token, completes=False)
        outcome.given_back = len(held)
        if held:
            self._rests_until = started + REST
        return outcome

    async def _take(self, batch: FeedbackBatch, outcome: DrainOutcome) -> bool:
        """Moves the records that the batch is about; whether all of it was ours."""
        read = read_answers(batch.body)
        ours = [a for a in read if a is not None and may_be_ours(a)]
        matched, late = await self._move(ours, outcome)
        outcome.late += late
        foreign = len(read) - matched - late
        outcome.foreign += foreign
        return foreign == 0

    async def _move(self, answers: Sequence[Answer], outcome: DrainOutcome) -> tuple[int, int]:
        """How many answers were to the records' present commands, and how many to earlier ones of ours."""
        by_device: dict[str, list[Answer]] = defaultdict(list)
        for answer in answers:
            by_device[answer.device_id].append(answer)
        met: dict[str, DeviceRecord] = {}

        def reducer(device_id: str, record: DeviceRecord | None) -> Reduction | None:
            if record is None:
                return None
            met[device_id] = record
            return _answered(record, by_device[device_id])

        written = {stored.record.device_id for stored in await self._store.update(by_device, reducer)}
        outcome.moved += len(written)
        _count(a for a in answers if a.device_id in written and _is_present(a, met[a.device_id]))
        rest = [a for a in answers if a.device_id in met and not _is_present(a, met[a.device_id])]
        matched = sum(1 for a in answers if a.device_id in met) - len(rest)
        return matched, sum([await self._was_sent(answer) for answer in rest])

    async def _was_sent(self, answer: Answer) -> bool:
        """Whether the device's history knows the command: the usual case is a device that renewed before we drained."""
        rows = await self._store.history(answer.device_id, HISTORY_LOOKED_AT)
        return any(row.values["eventId"] == answer.message_id for row in rows)

    async def _settle(self, lock_token: str, *, completes: bool) -> None:
        try:
            await (self._queue.complete(lock_token) if completes else self._queue.abandon(lock_token))
        except (Conflict, InfrastructureFault) as problem:  # the loan ends by itself, and what was taken is harmless
            _log.warning("a batch of feedback will come again: %s", problem)


def _is_present(answer: Answer, record: DeviceRecord) -> bool:
    return record.command is not None and record.command.id == answer.message_id


def _answered(record: DeviceRecord, answers: Sequence[Answer]) -> Reduction | None:
    """All of a device's answers as one change."""
    changed, history = record, tuple[HistoryEntry, ...]()
    for answer in answers:
        reduction = command_answered(changed, answer.message_id, answer.status, answer.at)
        if reduction is not None:
            changed, history = reduction.record, (*history, *reduction.history)
    return Reduction(changed, history) if history else None


def _count(answers: Iterable[Answer]) -> None:
    for answer in answers:
        if answer.status is not Delivery.SUCCESS:
            telemetry.note(telemetry.COMMANDS_EXPIRED, 1, {"outcome": answer.status.value})
