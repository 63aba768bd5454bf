"""Long work in small steps: whoever dies in one leaves a row from which the next goes on.

A message `{operationId}` in the queue `operations` makes one step. A step is a chain of units, each of them done by the
handler of the operation's kind and stored when it is done; when its time is up, the next message is queued. Two steps
of one operation at a time do no harm: units are idempotent, and who loses the race for the row leaves it to the other.
A message that is lost with its queue or its instance is put again by `revive`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Protocol
from uuid import uuid4

from shared import telemetry
from shared.clock import Clock
from shared.domain.operations import Operation, OperationKind, operation_id
from shared.domain.record import Actor
from shared.errors import Conflict, FleetcertError, InfrastructureFault, NotFound, Throttled
from shared.logs import about
from shared.services.operation_rows import OperationRows, StoredOperation
from shared.services.ports import WorkQueue

STEP: Final = timedelta(seconds=30)
"""How long one step may go on to begin units; well inside of what the Functions host allows a function."""
RETENTION: Final = timedelta(days=400)
PATIENCE: Final = timedelta(minutes=5)
"""How late a step may be before its message counts as lost."""
FAULT_PAUSE: Final = timedelta(seconds=30)
"""After a fault of a service."""
EARLY: Final = timedelta(seconds=10)
"""A message that comes earlier before its time than clocks differ is a double."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Advance:
    """What a unit of work came to. wait: how long the next must not begin, e.g. for a throttle's next minute."""

    operation: Operation
    wait: timedelta = timedelta()


class OperationHandler(Protocol):
    """The work of one kind of operation. Composition registers one for each kind."""

    async def advance(self, operation: Operation) -> Advance:
        """One unit of work from `operation.cursor` on: a page, a chunk, a few seconds at most.

        What comes back is stored, and `cursor` is all that the next unit (perhaps in another process) knows. Whoever
        dies before that has the same unit made again: its effects must be the same then (the same row, the same block,
        the same intent under the operation's id). Answer `operation.progressed(...)` while there is more,
        `operation.finished(result)` at the end, `operation.gave_up(problem)` where it cannot go on.
        Raises: InfrastructureFault (the unit is made again later), any other FleetcertError (the operation fails).
        """

    async def discard(self, operation: Operation) -> None:
        """It has ended (done, cancelled or failed): removes what was kept for it alone. May be called again."""


class Operations:
    """Starts, shows, cancels and steps operations."""

    def __init__(
        self,
        rows: OperationRows,
        queue: WorkQueue,
        handlers: Mapping[OperationKind, OperationHandler],
        clock: Clock,
        step: timedelta = STEP,
        retention: timedelta = RETENTION,
    ) -> None:
        self._rows = rows
        self._queue = queue
        self._handlers = handlers
        self._clock = clock
        self._step = step
        self._retention = retention

    def new_id(self) -> str:
        """An id for `start`, for a caller who must know it before (an idempotency key that is stored first)."""
        return operation_id(self._clock.now(), uuid4().hex[:8])

    async def start(
        self,
        kind: OperationKind,
        actor: Actor,
        reason: str,
        parameters: Mapping[str, str] | None = None,
        *,
        total: int | None = None,
        operation_id: str | None = None,
    ) -> Operation:
        """Stores the operation and queues its first step. With an id that is known already: that operation, as it is.

        Raises: InfrastructureFault.
        """
        now = self._clock.now()
        operation = Operation(
            id=operation_id or self.new_id(),
            kind=kind,
            actor=actor,
            reason=reason,
            created_at=now,
            updated_at=now,
            resume_at=now,
            parameters=dict(parameters or {}),
            total=total,
        )
        if not await self._rows.insert(operation):
            return await self.show(operation.id)
        fields = about(operation_id=operation.id, kind=kind, actor=actor.object_id or actor.name, reason=reason)
        _log.info("operation %s (%s) begins", operation.id, kind, extra=fields)
        await self._queue_softly(operation.id)
        return operation

    async def show(self, operation_id: str) -> Operation:
        """One operation as it stands. Raises: NotFound, InfrastructureFault."""
        return (await self._load(operation_id)).operation

    async def page(self, limit: int, after: str = "") -> list[Operation]:
        """At most `limit` operations, the newest first. after: the id of the last of the page before."""
        return await self._rows.page(limit, after)

    async def cancel(self, operation_id: str, actor: Actor, reason: str) -> Operation:
        """Asks a running operation to end after the unit that it is at. Asking again changes nothing.

        Raises: NotFound, NotPossible where it has ended, InfrastructureFault.
        """
        for _ in range(8):
            stored = await self._load(operation_id)
            wished = stored.operation.cancel_requested(actor, reason, self._clock.now())
            try:
                saved = wished if wished is stored.operation else (await self._rows.save(wished, stored.etag)).operation
            except Conflict:
                continue
            await self._queue_softly(operation_id)
            return saved
        raise InfrastructureFault("table", f"operation {operation_id} kept changing")

    async def step(self, message: Mapping[str, Any]) -> Operation | None:
        """One bounded step of `{operationId}`; None where there is no such operation or another instance goes on.

        Raises: InfrastructureFault of the table or the queue (the host calls again), KeyError for a message that is
        none of ours.
        """
        stored = await self._rows.load(str(message["operationId"]))
        if stored is None:
            _log.warning("there is no operation %s", message["operationId"])
            return None
        if stored.operation.is_running and stored.operation.resume_at - self._clock.now() > EARLY:
            _log.info("operation %s has its next message already", stored.operation.id)
            return None
        try:
            return await self._stepped(stored)
        except Conflict:
            _log.info("another instance goes on with operation %s", stored.operation.id)
            return None

    async def revive(self) -> int:
        """Queues the operations whose message was lost, and forgets those that are past their retention.

        Returns how many were queued. Raises: InfrastructureFault.
        """
        revived, running = 0, await self._rows.not_done_with()
        telemetry.note(telemetry.OPERATIONS_RUNNING, len(running))
        for identifier in running:
            stored = await self._rows.load(identifier)
            if stored is None:
                await self._rows.done_with(identifier)
            elif stored.operation.resume_at + PATIENCE <= self._clock.now():
                _log.warning("operation %s has lost its message and gets another", identifier)
                await self._queue.put({"operationId": identifier})
                revived += 1
        await self._rows.prune(self._clock.now() - self._retention)
        return revived

    async def _stepped(self, stored: StoredOperation) -> Operation:
        """Units until the time is up or the operation ends. Raises: Conflict."""
        ends = self._clock.now() + self._step
        wait = timedelta()
        while stored.operation.is_running and not wait and self._clock.now() < ends:
            advance = await self._advanced(stored.operation)
            stored, wait = await self._save(advance, stored), advance.wait
        operation = stored.operation
        if operation.is_running:
            await self._queue.put({"operationId": operation.id}, wait)
            return operation
        await self._handlers[operation.kind].discard(operation)
        await self._rows.done_with(operation.id)
        telemetry.note(telemetry.OPERATIONS_ENDED, 1, {"kind": operation.kind.value, "state": operation.state.value})
        fields = about(operation_id=operation.id, kind=operation.kind, state=operation.state)
        _log.info("operation %s is %s: %d done, %d failed", *_summary(operation), extra=fields)
        return operation

    async def _advanced(self, operation: Operation) -> Advance:
        """One unit of work, or what its failure means."""
        if operation.cancellation is not None:
            return Advance(operation.cancelled())
        try:
            return await self._handlers[operation.kind].advance(replace(operation, problem="", strikes=0))
        except Throttled as throttled:
            return Advance(operation.waiting(str(throttled)), throttled.retry_after)
        except (InfrastructureFault, Conflict) as fault:
            _log.warning("operation %s waits: %s", operation.id, fault)
            return Advance(operation.waiting(str(fault)), FAULT_PAUSE)
        except FleetcertError as refusal:
            return Advance(operation.gave_up(str(refusal)))
        except Exception as bug:  # a bug in one kind's handler must not keep its queue from the others
            _log.exception("operation %s met an error that nobody foresaw", operation.id)
            return Advance(operation.struck(f"{type(bug).__name__}: {bug}"), FAULT_PAUSE)

    async def _save(self, advance: Advance, before: StoredOperation) -> StoredOperation:
        """Stores what a unit came to, beside a wish to cancel that came meanwhile. Raises: Conflict."""
        now = self._clock.now()
        operation = advance.operation.stamped(now, now + advance.wait)
        try:
            return await self._rows.save(operation, before.etag)
        except Conflict:
            fresh = await self._load(operation.id)
            if not _differs_by_a_wish(fresh.operation, before.operation):
                raise
        return await self._rows.save(replace(operation, cancellation=fresh.operation.cancellation), fresh.etag)

    async def _load(self, operation_id: str) -> StoredOperation:
        stored = await self._rows.load(operation_id)
        if stored is None:
            raise NotFound("operation", operation_id)
        return stored

    async def _queue_softly(self, operation_id: str) -> None:
        """A message that cannot be put now is put by `revive`."""
        try:
            await self._queue.put({"operationId": operation_id})
        except InfrastructureFault as fault:
            _log.warning("operation %s begins later: %s", operation_id, fault)


def _differs_by_a_wish(fresh: Operation, before: Operation) -> bool:
    same = replace(fresh, cancellation=before.cancellation, updated_at=before.updated_at, resume_at=before.resume_at)
    return same == before and fresh.cancellation is not None and before.cancellation is None


def _summary(operation: Operation) -> tuple[str, str, int, int]:
    return operation.id, operation.state.value, operation.done, operation.failed
