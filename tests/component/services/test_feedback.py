"""Draining feedback that is not ours alone."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from support.events import DAY, claim, twin_event
from support.fakes import (
    NOON,
    FakeAlerts,
    FakeClock,
    FakeDeadLetters,
    FakeHub,
    FakeQueue,
    FakeSender,
    FakeTable,
)
from support.feedback import MAX_DELIVERIES, FakeFeedback, answer
from support.measuring import Note

from shared.domain import reasons
from shared.domain.changes import Policies
from shared.domain.record import DeviceRecord, State
from shared.errors import InfrastructureFault, Throttled
from shared.services.commands import Commands
from shared.services.deadlines import Deadlines
from shared.services.feedback import LONGEST_DRAIN, REST, Feedback, FeedbackBatch
from shared.services.outbox import Outbox
from shared.services.pacing import Budget
from shared.services.recording import Recording
from shared.services.store import FleetStore

DOWN = InfrastructureFault("test", "down")
HOUR = timedelta(hours=1)


@dataclass
class World:
    """A fleet whose commands are answered."""

    table: FakeTable = field(default_factory=FakeTable)
    queue: FakeFeedback = field(default_factory=FakeFeedback)
    clock: FakeClock = field(default_factory=FakeClock)
    sender: FakeSender = field(default_factory=FakeSender)
    work: FakeQueue = field(default_factory=FakeQueue)

    def __post_init__(self) -> None:
        policies, hub = Policies(), FakeHub()
        self.store = FleetStore(self.table, 4)
        outbox = Outbox(self.store, FakeAlerts(), self.work, FakeQueue())
        self.recording = Recording(self.store, outbox, FakeDeadLetters(), hub, policies, self.clock)
        self.deadlines = Deadlines(self.store, outbox, hub, policies, Budget(), self.clock)
        self.commands = Commands(self.store, self.sender, hub, policies, self.clock)
        self.feedback = Feedback(self.store, self.queue, self.clock)

    async def record(self, device_id: str = "dev-1") -> DeviceRecord:
        stored = await self.store.load(device_id)
        assert stored is not None
        return stored.record

    async def command(self, device_id: str = "dev-1") -> str:
        """Issues a certificate, goes into its window, and sends the command; its id."""
        await self.recording.record_hub_events([twin_event({"certificate": claim()}, device_id=device_id)])
        self.clock.advance(NOON + 25 * DAY - self.clock.now())
        return await self.attempt(device_id)

    async def attempt(self, device_id: str = "dev-1") -> str:
        await self.deadlines.sweep()
        await self.commands.send(self.work.messages[-1])
        command = (await self.record(device_id)).command
        assert command is not None
        assert command.sent_at == self.clock.now()
        return command.id

    async def renew(self) -> None:
        now = self.clock.now()
        new = claim(now, thumbprint="bb" * 32)
        await self.recording.record_hub_events([twin_event({"certificate": new}, version=3, sequence=9, at=now)])


@pytest.fixture
def world() -> World:
    return World()


async def test_a_command_that_was_taken_is_waited_for(world: World) -> None:
    world.queue.put(answer(await world.command(), at=world.clock.now()))
    outcome = await world.feedback.drain()
    assert (outcome.batches, outcome.moved, outcome.given_back) == (1, 1, 0)
    assert len(world.queue.completed) == 1
    assert (await world.record()).reason == reasons.COMMAND_DELIVERED
    await world.deadlines.sweep()
    assert len(world.sender.sent) == 1


async def test_a_command_that_expired_unheard_is_sent_again_by_backoff(world: World) -> None:
    first = await world.command()
    world.clock.advance(HOUR)
    world.queue.put(answer(first, "Expired", at=world.clock.now()))
    await world.feedback.drain()
    assert (await world.record()).reason == reasons.COMMAND_EXPIRED
    second = await world.attempt()
    assert second != first
    world.clock.advance(HOUR)
    world.queue.put(answer(second, "Expired", at=world.clock.now()))
    await world.feedback.drain()
    assert (await world.record()).next_deadline == world.clock.now() + HOUR  # 2 lives in all, as silence has it
    await world.deadlines.sweep()
    assert len(world.sender.sent) == 2


async def test_silence_alone_leads_to_the_same_end() -> None:
    heard, unheard = World(), World()
    for world in (heard, unheard):
        first = await world.command()
        world.clock.advance(HOUR)
        if world is heard:
            world.queue.put(answer(first, "Expired", at=world.clock.now()))
            await world.feedback.drain()
        await world.attempt()
    assert await heard.record() == await unheard.record()


async def test_a_purged_command_is_sent_again_before_silence_would_have_it(world: World) -> None:
    world.queue.put(answer(await world.command(), "Purged", at=world.clock.now()))
    await world.feedback.drain()
    await world.attempt()
    assert len(world.sender.sent) == 2


async def test_the_same_batch_a_second_time_changes_nothing(world: World) -> None:
    record = answer(await world.command(), "Rejected", at=world.clock.now())
    world.queue.put(record)
    await world.feedback.drain()
    after, commits = await world.record(), world.table.commits
    world.queue.put(record)
    outcome = await world.feedback.drain()
    assert (outcome.moved, outcome.foreign, await world.record(), world.table.commits) == (0, 0, after, commits)
    assert len(world.queue.completed) == 2


async def test_the_answer_to_a_device_that_has_renewed_meanwhile_is_ours_and_done_with(world: World) -> None:
    command = await world.command()
    await world.renew()
    world.queue.put(answer(command, at=world.clock.now()))
    outcome = await world.feedback.drain()
    assert (outcome.late, outcome.foreign, outcome.given_back) == (1, 0, 0)
    assert len(world.queue.completed) == 1
    assert (await world.record()).state is State.VALID


async def test_foreign_feedback_is_left_to_its_owner_and_costs_no_storage_request(world: World) -> None:
    await world.command()
    reads = count_reads(world.table)
    world.queue.put(answer(), answer(device_id="dev-9"))
    outcome = await world.feedback.drain()
    assert (outcome.foreign, outcome.given_back) == (2, 1)
    assert world.queue.completed == []
    assert len(world.queue.batches) == 1
    assert reads == []


async def test_ours_are_taken_from_a_mixed_batch_and_the_batch_is_left_to_the_others(world: World) -> None:
    world.queue.put(answer(), answer(await world.command(), "Purged", at=world.clock.now()))
    outcome = await world.feedback.drain()
    assert (outcome.moved, outcome.foreign, outcome.given_back) == (1, 1, 1)
    assert (await world.record()).reason == reasons.COMMAND_PURGED
    assert len(world.queue.batches) == 1


async def test_an_id_of_our_form_that_the_device_never_got_is_foreign(world: World) -> None:
    await world.command()
    world.queue.put(answer(str(uuid.uuid5(uuid.NAMESPACE_DNS, "somebody"))))
    world.queue.put(answer(str(uuid.uuid5(uuid.NAMESPACE_DNS, "somebody")), device_id="unknown"))
    outcome = await world.feedback.drain()
    assert (outcome.foreign, outcome.given_back) == (2, 2)


async def test_what_cannot_be_read_is_left_where_it_is(world: World) -> None:
    world.queue.batches.append(b"no json")
    assert (await world.feedback.drain()).given_back == 1
    assert world.queue.batches == [b"no json"]


async def test_a_foreign_batch_does_not_hide_ours_behind_it(world: World) -> None:
    world.queue.put(answer())
    world.queue.put(answer(await world.command(), at=world.clock.now()))
    outcome = await world.feedback.drain()
    assert (outcome.batches, outcome.moved, outcome.given_back) == (2, 1, 1)


async def test_a_foreign_batch_never_gets_its_last_delivery_from_us(world: World) -> None:
    world.queue.put(answer())
    for _ in range(60):  # a batch lives for an hour
        await world.feedback.drain()
        world.clock.advance(timedelta(minutes=1))
    [deliveries] = world.queue.deliveries.values()
    assert deliveries < MAX_DELIVERIES
    assert len(world.queue.batches) == 1


async def test_ours_are_drained_again_after_the_rest(world: World) -> None:
    command = await world.command()
    world.queue.put(answer())
    await world.feedback.drain()
    world.queue.put(answer(command, at=world.clock.now()))
    assert (await world.feedback.drain()).batches == 0
    world.clock.advance(REST)
    assert (await world.feedback.drain()).moved == 1


async def test_a_fault_of_the_table_gives_back_what_was_lent_and_loses_nothing(world: World) -> None:
    world.queue.put(answer(await world.command(), at=world.clock.now()))
    world.table.faults = [DOWN]
    with pytest.raises(InfrastructureFault):
        await world.feedback.drain()
    assert (len(world.queue.batches), world.queue.lent) == (1, {})
    assert (await world.feedback.drain()).moved == 1


async def test_a_loan_that_ended_before_completion_is_harmless(world: World) -> None:
    record = answer(await world.command(), at=world.clock.now())
    world.queue.put(record)
    world.queue.faults = [None, Throttled("IoT hub", timedelta(seconds=1))]  # receive, then complete
    assert (await world.feedback.drain()).moved == 1
    world.queue.put(record)
    assert (await world.feedback.drain()).moved == 0


async def test_a_drain_ends_before_the_first_loan_does(world: World) -> None:
    for _ in range(5):
        world.queue.put(answer())
    receive = world.queue.receive

    async def slow() -> FeedbackBatch | None:
        world.clock.advance(LONGEST_DRAIN / 2)
        return await receive()

    world.queue.receive = slow  # type: ignore[method-assign]
    assert (await world.feedback.drain()).batches == 2


async def test_what_ended_unheard_is_counted_once_by_its_outcome(world: World, noted: list[Note]) -> None:
    record = answer(await world.command(), "Purged", at=world.clock.now())
    for _ in range(2):
        world.queue.put(record)
        await world.feedback.drain()
    assert noted == [("fleetcert.commands.expired", 1, {"outcome": "Purged"})]


async def test_a_fault_of_the_queue_is_raised(world: World) -> None:
    world.queue.faults = [DOWN]
    with pytest.raises(InfrastructureFault):
        await world.feedback.drain()


async def test_a_drain_that_is_switched_off_asks_nobody(world: World) -> None:
    world.queue.put(answer(await world.command(), at=world.clock.now()))
    outcome = await Feedback(world.store, world.queue, world.clock, enabled=False).drain()
    assert outcome.batches == 0
    assert world.queue.deliveries == {}


def count_reads(table: FakeTable) -> list[str]:
    """What is read of the table from now on."""
    reads: list[str] = []
    original = table.get_many

    async def counted(partition: str, keys: list[str]) -> object:
        reads.extend(keys)
        return await original(partition, keys)

    table.get_many = counted  # type: ignore[method-assign, assignment]
    return reads
