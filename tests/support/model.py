"""A whole back end in one process that may die: the cloud around it outlives it, and time is ours.

`Cloud` is what Azure keeps: rows, messages, identities, enrollments. `Backend` is fresh services over it, called as the
Functions host calls them: batches are redelivered until they succeed, messages come back after 30 seconds, the timer
ticks every minute.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from support.events import DAY
from support.fakes import (
    FakeAlerts,
    FakeClock,
    FakeDeadLetters,
    FakeHub,
    FakeProvisioning,
    FakeRegistry,
    FakeSender,
    FakeTable,
)
from support.faults import Faults, Killed
from support.feedback import FakeFeedback

from shared.domain import keys
from shared.domain.changes import Policies
from shared.domain.envelope import Envelope
from shared.domain.operations import OperationKind
from shared.domain.policy import BeliefPolicy
from shared.domain.record import Actor, DeviceRecord, State
from shared.services.bulk import Bulk
from shared.services.bulk_actions import DisableMany, RenewMany
from shared.services.bulk_work import BulkHandler
from shared.services.commands import Commands
from shared.services.containment import Containment
from shared.services.deadlines import Deadlines
from shared.services.devices import Devices
from shared.services.feedback import Feedback
from shared.services.ledger import Ledger
from shared.services.operation_rows import OperationRows
from shared.services.operations import OperationHandler, Operations
from shared.services.outbox import Outbox
from shared.services.pacing import REQUESTS_A_DISABLE, Budget, disabling
from shared.services.ports import Row, Table, WorkQueue
from shared.services.recording import Recording
from shared.services.rows import stored
from shared.services.selection import Selection
from shared.services.store import FleetStore
from shared.services.targets import TargetRows

ANN = Actor(name="ann", object_id="o-1", app_id="a-1")
MINUTE = timedelta(minutes=1)
SHARDS = 2
POLICIES = Policies(belief=BeliefPolicy(validity=30 * DAY))
_MAX_DEQUEUES = 5  # host.json
_INVISIBLE = timedelta(seconds=30)

_INSTANTS = (
    "requested_at",
    "begun_at",
    "hub_disabled_at",
    "blocked_at",
    "hub_rechecked_at",
    "purged_at",
    "registry_disabled_at",
    "told_at",
    "gone_since",
    "told_late_at",
    "disconnected_at",
    "refused_at",
    "passed_at",
)

type Handler = Callable[[Mapping[str, Any]], Awaitable[None]]


class SkewedClock:
    """What a process takes for the time."""

    def __init__(self, truth: FakeClock) -> None:
        self.truth = truth
        self.skew = timedelta()

    def now(self) -> datetime:
        return self.truth.now() + self.skew


@dataclass
class DeliveringQueue:
    """A storage queue: a message that was taken and not done with comes back, five times at most."""

    clock: FakeClock
    waiting: list[tuple[datetime, int, Mapping[str, Any]]] = field(default_factory=list)
    poison: list[Mapping[str, Any]] = field(default_factory=list)

    async def put(self, message: Mapping[str, Any], delay: timedelta = timedelta()) -> None:
        self.waiting.append((self.clock.now() + delay, 0, message))

    def take(self) -> tuple[int, Mapping[str, Any]] | None:
        """The next visible message; it is hidden until `done` or its return."""
        for place, (visible_at, tries, message) in enumerate(self.waiting):
            if visible_at > self.clock.now():
                continue
            del self.waiting[place]
            if tries < _MAX_DEQUEUES:
                self.waiting.append((self.clock.now() + _INVISIBLE, tries + 1, message))
                return tries + 1, message
            self.poison.append(message)
            return self.take()
        return None

    def done(self, message: Mapping[str, Any]) -> None:
        place = next(n for n, (_, tries, m) in enumerate(self.waiting) if m is message and tries)
        del self.waiting[place]


@dataclass
class Cloud:
    """What outlives every process."""

    clock: FakeClock = field(default_factory=FakeClock)
    table: Table = field(default_factory=FakeTable)
    alerts: FakeAlerts = field(default_factory=FakeAlerts)
    dead_letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    hub: FakeHub = field(default_factory=FakeHub)
    provisioning: FakeProvisioning = field(default_factory=FakeProvisioning)
    sender: FakeSender = field(default_factory=FakeSender)
    feedback: FakeFeedback = field(default_factory=FakeFeedback)
    registry: FakeRegistry | None = None

    def __post_init__(self) -> None:
        self.commands = DeliveringQueue(self.clock)
        self.containment = DeliveringQueue(self.clock)
        self.operations = DeliveringQueue(self.clock)

    async def rows(self, low: str = "", high: str = "~") -> list[Row]:
        """The rows of every shard, by default all of them."""
        return [r for p in keys.shard_names(SHARDS) async for r in self.table.scan(p, low, high)]

    async def records(self) -> dict[str, DeviceRecord]:
        """Every record by its device id."""
        return records_of(await self.rows())


class Backend:
    """The services over a cloud, called as the Functions host calls them."""

    def __init__(
        self,
        cloud: Cloud | None = None,
        faults: Faults | None = None,
        policies: Policies = POLICIES,
        budget: Budget | None = None,
    ) -> None:
        self.cloud = cloud or Cloud()
        self.faults = faults or Faults()
        self.clock = SkewedClock(self.cloud.clock)
        self._policies = policies
        self._budget = budget or Budget(per_minute=1000)
        self.restart()

    def restart(self) -> None:
        """A new process over what is stored."""
        cloud, wrap = self.cloud, self.faults.wrap
        self.faults.revive()
        hub, policies, clock = wrap("hub", cloud.hub), self._policies, self.clock
        store = FleetStore(wrap("table", cloud.table), SHARDS)
        queues = wrap("commands", cloud.commands), wrap("containment", cloud.containment)
        outbox = Outbox(store, wrap("alerts", cloud.alerts), *queues)
        self.recording = Recording(store, outbox, wrap("letters", cloud.dead_letters), hub, policies, clock)
        ledger = Ledger(wrap("table", cloud.table), self._budget)
        self.deadlines = Deadlines(store, outbox, hub, policies, self._budget, clock, ledger=ledger)
        self.commands = Commands(store, wrap("sender", cloud.sender), hub, policies, clock)
        registry = wrap("adr", cloud.registry) if cloud.registry else None
        self.containment = Containment(store, outbox, hub, wrap("dps", cloud.provisioning), clock, registry=registry)
        self.devices = Devices(store, self.deadlines, clock)
        self.feedback = Feedback(store, wrap("feedback", cloud.feedback), clock)
        self._bulk(wrap("table", cloud.table), store, wrap("operations", cloud.operations))

    def _bulk(self, table: Table, store: FleetStore, queue: WorkQueue) -> None:
        """Operations on many devices: 12 may be shut out in a minute."""
        selection, targets, clock = Selection(table, store), TargetRows(table), self.clock
        renewing = RenewMany(store, self.deadlines, Ledger(table, self._budget), clock)
        ledger = Ledger(table, disabling(REQUESTS_A_DISABLE * 12, Fraction(1)), "registry")
        shutting_out = DisableMany(store, self.containment, ledger, clock)
        handlers: dict[OperationKind, OperationHandler] = {
            OperationKind.BULK_RENEW: BulkHandler(renewing, selection, targets),
            OperationKind.BULK_DISABLE: BulkHandler(shutting_out, selection, targets),
        }
        self.operations = Operations(OperationRows(table), queue, handlers, clock)
        self.bulk = Bulk(table, selection, self.operations)

    async def attempt(self, work: Callable[[], Awaitable[object]]) -> bool:
        """Whether the work succeeded; a process that died in it is replaced."""
        try:
            await work()
        except Killed:
            self.restart()
            return False
        except Exception as problem:  # the host logs it, and calls again in its own time
            logging.getLogger(__name__).info("the host met %r", problem)
            return False
        return True

    async def hear(self, batch: Sequence[Envelope]) -> None:
        """A batch of events, redelivered until it is done with: the retry policy is endless."""
        record = "record_dps_events" if batch[0].hub == "dps-events" else "record_hub_events"
        for _ in range(20):
            if await self.attempt(lambda: getattr(self.recording, record)(batch)):
                return
            self.cloud.clock.advance(timedelta(seconds=2))
        raise AssertionError("the batch blocks its partition")

    async def insist(self, work: Callable[[], Awaitable[object]]) -> None:
        """An operator's call, repeated by the operator until it succeeds."""
        for _ in range(30):
            if await self.attempt(work):
                return
            self.cloud.clock.advance(timedelta(seconds=10))
        raise AssertionError("the operator gives up")

    async def work_off(self) -> None:
        """Handles the messages that are visible now, each once."""
        for queue, handler in self._queues():
            while (taken := queue.take()) is not None:
                message = taken[1]
                if await self.attempt(lambda h=handler, m=message: h(m)):  # type: ignore[misc]
                    queue.done(message)

    async def tick(self) -> None:
        """The timers' minute: a sweep and what it queued, and a drain where there is feedback."""
        await self.attempt(self.deadlines.sweep)
        await self.attempt(self.operations.revive)
        self.cloud.feedback.lapse()
        if self.cloud.feedback.batches:
            await self.attempt(self.feedback.drain)
        await self.work_off()

    async def run_until(self, instant: datetime) -> None:
        """Lets time pass: ticks at every full minute in which anything is due or queued."""
        clock = self.cloud.clock
        while (upcoming := await self._next_minute()) <= instant:
            clock.advance(max(upcoming - clock.now(), timedelta()))
            await self.tick()
        clock.advance(max(instant - clock.now(), timedelta()))

    def _queues(self) -> list[tuple[DeliveringQueue, Handler]]:
        return [
            (self.cloud.commands, self.commands.send),
            (self.cloud.containment, self.containment.advance),
            (self.cloud.operations, self.operations.step),
        ]

    async def _next_minute(self) -> datetime:
        """The next full minute after now at which there is work."""
        after_now = _full_minute(self.cloud.clock.now() + timedelta(microseconds=1))
        stamps = [row.key.split("!")[1] for row in await self.cloud.rows(keys.DUE, keys.EXPIRES)]
        instants = [datetime.strptime(s, "%Y%m%dT%H%M%S").replace(tzinfo=UTC) for s in stamps]
        running = self.cloud.table.scan(keys.FLEET_PARTITION, *keys.running_range())
        instants += [after_now async for _ in running]  # a timer looks after what is lost
        instants += [visible_at for queue, _ in self._queues() for visible_at, _, _ in queue.waiting]
        if self.cloud.feedback.batches or self.cloud.feedback.lent:
            instants.append(self.cloud.clock.now())
        first = min(instants, default=datetime.max.replace(tzinfo=UTC) - DAY) - self.clock.skew
        return max(after_now, _full_minute(first))


def _full_minute(instant: datetime) -> datetime:
    whole = instant.replace(second=0, microsecond=0)
    return whole if whole == instant else whole + MINUTE


def records_of(rows: Iterable[Row]) -> dict[str, DeviceRecord]:
    """The records among rows, by device id."""
    found = [stored(row).record for row in rows if row.key.startswith("device!")]
    return {record.device_id: record for record in found}


def check_invariants(rows: Sequence[Row]) -> None:
    """What holds for a table between any two transactions, whatever happened."""
    records = records_of(rows)
    placed = Counter((row.partition, row.key) for row in rows if row.key.startswith(("device!", "due!", "expires!")))
    wanted: Counter[tuple[str, str]] = Counter()
    for record in records.values():
        wanted.update((keys.shard_of(record.device_id, SHARDS), key) for key in _keys_of(record))
        _check_record(record)
    assert placed == wanted, f"rows without a record: {placed - wanted}; records without a row: {wanted - placed}"
    histories = {str(row.values["deviceId"]) for row in rows if row.key.startswith("history!")}
    assert histories <= records.keys()


def _keys_of(record: DeviceRecord) -> list[str]:
    found = [keys.device_key(record.device_id)]
    if record.due_at is not None:
        found.append(keys.due_key(record.due_at, record.device_id))
    if record.state is not State.RETIRED:
        valid_until = record.certificate.valid_until if record.certificate else None
        found.append(keys.expires_key(valid_until, record.device_id))
    return found


def _check_record(record: DeviceRecord) -> None:
    rests = record.state is State.RETIRED or (record.containment is not None and record.containment.is_verified)
    assert rests or record.due_at is not None, f"{record.device_id} would never be looked at again"
    assert not record.pending or record.dispatch_by is not None, f"{record.device_id} has alerts that nobody sends"
    assert len({alert.id for alert in record.pending}) == len(record.pending)
    if record.command is not None:
        assert record.certificate is not None
        assert record.containment is None, "a device that is shut out is not asked to renew"
        assert record.state is not State.RETIRED


def essence(record: DeviceRecord) -> Mapping[str, object]:
    """A record without the instants at which fleetcert itself did its work: what a fault may not change."""
    containment, command, certificate = record.containment, record.command, record.certificate
    return {
        "state": record.state,
        "life": (record.hub, record.incarnation, record.version, record.twin_updated_at),
        "certificate": certificate and replace(certificate, first_seen=certificate.valid_from),
        "onboarding": record.onboarding,
        "command": command and (command.id, command.sent_at is not None),
        "attempts": record.attempts,
        "requested": record.renewal_request is not None,
        "revoked": record.revocation
        and (record.revocation.reason, record.revocation.failure, record.revocation.has_work),
        "contained": containment and replace(containment, enrollment_etag=None, **dict.fromkeys(_INSTANTS)),
        "steps": containment and [getattr(containment, name) is not None for name in _INSTANTS],
        "alerted": record.alerted,
        "pending": record.pending,
        "looks": record.look_at is not None,
    }
