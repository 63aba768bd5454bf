"""Following connections: what is written, what it costs, and what it does to a containment."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from support.connections import connected, connection_event, disconnected, sequence_number
from support.events import claim, onboarding_pem, twin_event
from support.fakes import (
    NOON,
    FakeAlerts,
    FakeClock,
    FakeDeadLetters,
    FakeHub,
    FakeProvisioning,
    FakeQueue,
    FakeTable,
)

from shared.contracts import AlertType
from shared.domain import keys, reasons
from shared.domain.changes import Policies
from shared.domain.envelope import Envelope
from shared.domain.presence import Scope
from shared.domain.record import Actor, DeviceRecord
from shared.errors import InfrastructureFault
from shared.services.containment import Containment
from shared.services.outbox import Outbox
from shared.services.ports import Row, Value, Write
from shared.services.presence import BURST, LOOK_INTERVAL, MOST_WAITING, LookBudget, Presence
from shared.services.recording import Recording
from shared.services.seen import SeenRows
from shared.services.store import FleetStore

ANN = Actor(name="ann")
DOWN = InfrastructureFault("test", "down")
SECOND = timedelta(seconds=1)
STORM = 10_000
SHARDS = 16


@dataclass
class CountedTable(FakeTable):
    """Counts scans and rows written beside point reads."""

    scans: int = 0
    written: int = 0

    def scan(self, partition: str, low: str, high: str, limit: int | None = None) -> AsyncIterator[Row]:
        self.scans += 1
        return super().scan(partition, low, high, limit)

    async def commit(self, partition: str, writes: Sequence[Write]) -> dict[str, str]:
        etags = await super().commit(partition, writes)
        self.written += len(writes)
        return etags


@dataclass
class World:
    """Containment and connections over fakes."""

    scope: Scope = "contained"
    table: CountedTable = field(default_factory=CountedTable)
    alerts: FakeAlerts = field(default_factory=FakeAlerts)
    work: FakeQueue = field(default_factory=FakeQueue)
    dead_letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    hub: FakeHub = field(default_factory=FakeHub)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.store = FleetStore(self.table, SHARDS)
        self.rows = SeenRows(self.table, SHARDS)
        outbox = Outbox(self.store, self.alerts, FakeQueue(), FakeQueue())
        self.recording = Recording(self.store, outbox, self.dead_letters, self.hub, Policies(), self.clock)
        self.containment = Containment(
            self.store, outbox, self.hub, FakeProvisioning(), self.clock, last_seen=self.rows
        )
        self.presence = self.started()

    def started(self) -> Presence:
        """A new instance of the service."""
        return Presence(self.rows, self.dead_letters, self.alerts, self.work, self.clock, self.scope)

    async def hear(self, *events: Envelope) -> None:
        await self.presence.record_connection_events(events)

    async def use_up_the_looks(self) -> None:
        """Other devices connect, until who is shut out is not looked up at once any more."""
        for order in range(BURST):
            await self.hear(connected(order, "dev-9"))

    async def contain(self, device_id: str = "dev-1") -> None:
        """As far as it goes while the registry still says that the device is connected."""
        self.hub.add(device_id, connected=True)
        await self.recording.record_hub_events([twin_event({"certificate": claim()}, device_id=device_id)])
        await self.containment.disable(device_id, ANN, "stolen", onboarding_pem(device_id))
        await self.containment.advance({"deviceId": device_id})

    async def work_off(self) -> None:
        while self.work.messages:
            await self.containment.advance(self.work.messages.pop(0))

    async def record(self) -> DeviceRecord:
        stored = await self.store.load("dev-1")
        assert stored is not None
        return stored.record

    async def contained_and_gone(self) -> None:
        await self.contain()
        self.clock.advance(SECOND)
        await self.hear(disconnected(5, at=self.clock.now()))
        await self.work_off()
        assert (await self.record()).reason == reasons.CONTAINED
        self.clock.advance(LOOK_INTERVAL)

    @property
    def returns(self) -> list[str]:
        return [a.id for a in self.alerts.sent if a.type == AlertType.DEVICE_CONTAINMENT_UNVERIFIED]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def all_of_them() -> World:
    return World("all")


async def test_a_disconnect_event_after_the_intent_completes_a_containment_at_once(world: World) -> None:
    await world.contain()
    assert (await world.record()).reason == reasons.CONTAINING
    world.clock.advance(3 * SECOND)
    await world.hear(disconnected(2, at=world.clock.now()))
    await world.work_off()
    record = await world.record()
    assert (record.reason, record.next_deadline) == (reasons.CONTAINED, None)
    rows = await world.store.history("dev-1", 20)
    [verified] = [row for row in rows if row.values["kind"] == reasons.HISTORY_DISCONNECTED]
    assert verified.values["details"] == ('{"evidence":"disconnect event of 2026-11-23T12:00:03Z","took":"3 s"}')


async def test_a_disconnection_before_the_intent_proves_nothing(world: World) -> None:
    await world.contain()
    await world.hear(disconnected(2, at=NOON - SECOND))
    await world.work_off()
    assert (await world.record()).reason == reasons.CONTAINING


async def test_a_late_disconnect_event_does_not_hide_that_the_device_came_back(world: World) -> None:
    await world.contain()
    world.clock.advance(10 * SECOND)
    await world.hear(connected(3, at=NOON + 2 * SECOND))
    await world.hear(disconnected(2, at=NOON + SECOND))
    await world.containment.advance({"deviceId": "dev-1"})
    assert (await world.record()).reason == reasons.CONTAINING


async def test_only_a_disconnection_that_is_waited_for_moves_a_containment_on(world: World) -> None:
    await world.contain()
    await world.hear(connected(2, at=NOON + SECOND))
    assert world.work.messages == []
    await world.contained_and_gone()
    await world.hear(connected(6, at=world.clock.now()), disconnected(7, at=world.clock.now()))
    assert world.work.messages == []


async def test_the_registry_is_looked_at_twice_where_no_event_comes(world: World) -> None:
    await world.contain()
    world.hub.add("dev-1", status="disabled")
    for _ in range(2):
        await world.containment.advance({"deviceId": "dev-1"})
        world.clock.advance(timedelta(minutes=5))
    await world.containment.advance({"deviceId": "dev-1"})
    assert (await world.record()).reason == reasons.CONTAINED


async def test_an_event_that_overtakes_the_look_at_who_is_shut_out_is_not_lost(world: World) -> None:
    await world.use_up_the_looks()
    await world.contain()
    world.clock.advance(SECOND)
    await world.hear(disconnected(2, at=world.clock.now()))
    assert world.work.messages == []
    world.clock.advance(LOOK_INTERVAL)
    await world.hear(connected(3, "dev-9"))
    assert world.work.messages == [{"deviceId": "dev-1"}]
    await world.work_off()
    assert (await world.record()).reason == reasons.CONTAINED


async def test_a_device_that_is_back_is_told_once_an_hour(world: World) -> None:
    await world.contained_and_gone()
    for order in range(6, 6 + 12 * 3):  # every five minutes for three hours
        await world.hear(connected(order, at=world.clock.now()))
        world.clock.advance(timedelta(minutes=5))
    assert len(world.returns) == len(set(world.returns)) == 3


async def test_a_return_that_could_not_be_told_is_told_by_the_retry_under_the_same_id(world: World) -> None:
    await world.contained_and_gone()
    back = connected(6, at=world.clock.now())
    world.table.faults = [DOWN]  # after the alert, before it is noted
    with pytest.raises(InfrastructureFault):
        await world.hear(back)
    await world.hear(back)
    assert len(world.returns) == 2
    assert len(set(world.returns)) == 1
    world.alerts.faults = [DOWN]
    await world.hear(back, connected(7, at=world.clock.now()))
    assert len(world.returns) == 2


async def test_a_return_right_after_the_verification_is_told_at_the_next_look(world: World) -> None:
    await world.contain()
    await world.use_up_the_looks()
    world.clock.advance(SECOND)
    await world.hear(disconnected(5, at=world.clock.now()))
    await world.work_off()
    assert (await world.record()).reason == reasons.CONTAINED
    world.clock.advance(SECOND)
    await world.hear(connected(6, at=world.clock.now()))
    assert world.returns == []
    world.clock.advance(LOOK_INTERVAL)
    await world.hear(connected(7, "dev-9"))
    assert len(world.returns) == 1


async def test_nothing_is_ever_written_to_the_record(world: World) -> None:
    await world.contained_and_gone()
    before = world.table.rows[keys.shard_of("dev-1", SHARDS), keys.device_key("dev-1")]
    await world.hear(connected(6, at=world.clock.now()))
    assert world.table.rows[keys.shard_of("dev-1", SHARDS), keys.device_key("dev-1")] is before


def storm() -> list[Envelope]:
    return [disconnected(n + 1, f"dev-{n}") for n in range(STORM)]


def batches(events: list[Envelope]) -> list[list[Envelope]]:
    return [events[start : start + 100] for start in range(0, len(events), 100)]


async def test_a_storm_about_others_writes_nothing_and_reads_who_is_shut_out_a_few_times(world: World) -> None:
    for batch in batches(storm()):
        await world.hear(*batch)
    assert (world.table.written, world.table.reads, world.table.scans) == (0, 0, BURST * SHARDS)


def test_looks_are_saved_up_to_a_bound_and_spent_at_once() -> None:
    budget = LookBudget(LOOK_INTERVAL)
    assert [budget.take(NOON) for _ in range(BURST + 1)] == [True] * BURST + [False]
    assert not budget.take(NOON + LOOK_INTERVAL - SECOND)
    assert budget.take(NOON + LOOK_INTERVAL)
    assert not budget.take(NOON + LOOK_INTERVAL + SECOND)
    later = NOON + 100 * BURST * LOOK_INTERVAL
    assert [budget.take(later) for _ in range(BURST + 1)] == [True] * BURST + [False]
    assert not budget.take(NOON)  # a clock that is set back saves nothing up


async def test_in_a_quiet_fleet_every_event_finds_who_is_shut_out_by_now(world: World) -> None:
    await world.hear(connected(1, "dev-9"))
    await world.contain()
    world.clock.advance(SECOND)
    await world.hear(disconnected(2, at=world.clock.now()))
    assert world.work.messages == [{"deviceId": "dev-1"}]


async def test_a_storm_costs_at_most_one_small_write_a_device_where_all_are_followed(all_of_them: World) -> None:
    world = all_of_them
    for batch in batches(storm()):
        await world.hear(*batch)
    assert world.table.written == STORM
    assert world.table.reads == STORM
    row = world.table.rows[keys.shard_of("dev-7", SHARDS), keys.seen_key("dev-7")]
    assert sum(len(str(value)) for value in row.values.values()) < 150
    for batch in batches(storm())[:5]:  # some of it comes a second time
        await world.hear(*batch)
    assert world.table.written == STORM


async def test_what_waits_in_memory_is_bounded(world: World) -> None:
    await world.use_up_the_looks()
    for start in range(0, 2 * MOST_WAITING, 1000):
        await world.hear(*(connected(n, f"dev-{n}") for n in range(start, start + 1000)))
        assert len(world.presence._waiting) < MOST_WAITING
    assert world.table.scans == (BURST + 2) * SHARDS


async def test_nothing_is_asked_or_written_where_connections_are_not_followed() -> None:
    world = World("off")
    await world.hear(connected(), connection_event(body=b"garbled"))
    assert (world.table.scans, world.table.written, world.dead_letters.kept) == (0, 0, {})


async def test_events_late_twice_and_in_any_order_end_in_the_latest_state(all_of_them: World) -> None:
    world = all_of_them
    events = [(connected if n % 2 else disconnected)(n, at=NOON + n * SECOND) for n in range(1, 20)] * 2
    random.Random(7).shuffle(events)
    for event in events:
        await world.hear(event)
    seen = await world.rows.of("dev-1")
    assert seen is not None
    assert (seen.connected, seen.sequence, seen.at) == (True, sequence_number(19), NOON + 19 * SECOND)


async def test_an_instance_that_lags_behind_another_does_not_undo_its_state(all_of_them: World) -> None:
    world, other = all_of_them, all_of_them.started()

    async def overtake() -> None:
        await other.record_connection_events([disconnected(9)])

    world.table.before_commit = overtake
    await world.hear(connected(4))
    seen = await world.rows.of("dev-1")
    assert seen is not None
    assert seen.sequence == sequence_number(9)


async def test_a_bad_event_becomes_a_dead_letter_and_the_batch_goes_on(all_of_them: World) -> None:
    world = all_of_them
    await world.hear(connection_event(order=3, body={"sequenceNumber": "?"}), connected(4))
    assert list(world.dead_letters.kept) == ["connection-events/0/3"]
    assert await world.rows.of("dev-1")


async def test_a_fault_holds_the_batch(all_of_them: World) -> None:
    world = all_of_them
    world.table.faults = [DOWN]
    with pytest.raises(InfrastructureFault):
        await world.hear(connected(4))
    await world.hear(connected(4))
    assert await world.rows.of("dev-1")


async def test_states_that_keep_changing_are_a_fault_in_the_end(all_of_them: World) -> None:
    world = all_of_them
    order = iter(range(1, 100))

    async def somebody_else() -> None:
        row = Row(shard, keys.seen_key("dev-1"), _values(next(order)))
        world.table.before_commit = None
        await FakeTable.commit(world.table, shard, [Write("upsert", row)])
        world.table.before_commit = somebody_else

    shard = keys.shard_of("dev-1", SHARDS)
    world.table.before_commit = somebody_else
    with pytest.raises(InfrastructureFault, match="kept changing"):
        await world.hear(connected(500))


def _values(order: int) -> dict[str, Value]:
    return {"deviceId": "dev-1", "hub": "h", "connected": True, "sequence": sequence_number(order), "at": NOON}


async def test_whoever_was_never_heard_of_has_no_state(world: World) -> None:
    assert await world.rows.of("dev-1") is None


@pytest.mark.parametrize("name", ["a!b", "ü", "dev-1"])
async def test_a_device_is_found_again_whatever_its_id(all_of_them: World, name: str) -> None:
    await all_of_them.hear(connected(4, name))
    assert await all_of_them.rows.of(name)
