"""Long work in steps: shown, listed, cancelled, and gone on with whoever dies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from support.containing import ANN, BOB
from support.fakes import FakeClock, FakeQueue, FakeTable

from shared.domain.operations import (
    MOST_FAILURES,
    MOST_STRIKES,
    DeviceFailure,
    Operation,
    OperationKind,
    OperationState,
)
from shared.errors import Conflict, InfrastructureFault, NotFound, NotPossible, Throttled
from shared.services.operation_rows import OperationRows
from shared.services.operations import FAULT_PAUSE, PATIENCE, Advance, Operations

EXPORT = OperationKind.EXPORT
DOWN = InfrastructureFault("blob storage", "down")
SECOND = timedelta(seconds=1)


@dataclass
class Counting:
    """Work of so many pieces, a second each; `answers` are raised first, one a unit."""

    clock: FakeClock
    pieces: int = 10
    answers: list[Exception] = field(default_factory=list)
    units: int = 0
    discarded: int = 0
    before_unit: Callable[[], Awaitable[object]] | None = None

    async def advance(self, operation: Operation) -> Advance:
        self.units += 1
        if self.answers:
            raise self.answers.pop(0)
        if self.before_unit is not None:
            hook, self.before_unit = self.before_unit, None
            await hook()
        self.clock.advance(SECOND)
        at = int(operation.cursor or 0) + 1
        moved = operation.progressed(cursor=str(at), done=1, total=self.pieces)
        return Advance(moved.finished({"pieces": str(at)}) if at == self.pieces else moved)

    async def discard(self, operation: Operation) -> None:
        self.discarded += 1


@dataclass
class Office:
    """Operations over fakes."""

    table: FakeTable = field(default_factory=FakeTable)
    queue: FakeQueue = field(default_factory=FakeQueue)
    clock: FakeClock = field(default_factory=FakeClock)
    step: timedelta = 4 * SECOND

    def __post_init__(self) -> None:
        self.work = Counting(self.clock)
        self.operations = Operations(
            OperationRows(self.table), self.queue, {EXPORT: self.work}, self.clock, self.step, timedelta(days=400)
        )

    async def start(self, **options: str) -> Operation:
        return await self.operations.start(EXPORT, ANN, "audit", {"format": "csv"}, **options)

    def take(self) -> dict[str, object]:
        """The only message, which is not delivered."""
        [message] = self.queue.messages
        self.queue.messages, self.queue.delays = [], []
        return dict(message)

    async def deliver(self) -> None:
        """Every message that is queued, when it is visible."""
        waiting = list(zip(self.queue.messages, self.queue.delays, strict=True))
        self.queue.messages, self.queue.delays = [], []
        for message, delay in waiting:
            self.clock.advance(delay)
            await self.operations.step(message)

    async def work_off(self) -> None:
        for _ in range(50):
            if not self.queue.messages:
                return
            await self.deliver()
        raise AssertionError("the work does not end")


@pytest.fixture
def office() -> Office:
    return Office()


async def test_an_operation_is_done_in_bounded_steps_each_of_which_queues_the_next(office: Office) -> None:
    begun = await office.start()
    assert (begun.state, begun.actor, begun.reason, begun.parameters) == (
        OperationState.RUNNING,
        ANN,
        "audit",
        {"format": "csv"},
    )
    await office.deliver()
    midway = await office.operations.show(begun.id)
    assert (midway.done, midway.total, midway.is_running) == (4, 10, True)
    assert office.queue.messages == [{"operationId": begun.id}]
    await office.work_off()
    done = await office.operations.show(begun.id)
    assert (done.state, done.done, done.result) == (OperationState.DONE, 10, {"pieces": "10"})
    assert done.finished_at == office.clock.now()
    assert office.work.discarded == 1
    assert office.table.keys("running!") == []


async def test_operations_are_listed_from_the_newest_on_in_pages(office: Office) -> None:
    started = []
    for _ in range(5):
        started.append((await office.start()).id)
        office.clock.advance(SECOND)
    first = await office.operations.page(2)
    rest = await office.operations.page(10, first[-1].id)
    assert [o.id for o in [*first, *rest]] == started[::-1]


async def test_an_id_that_is_known_starts_nothing_new(office: Office) -> None:
    identifier = office.operations.new_id()
    one = await office.start(operation_id=identifier)
    await office.deliver()
    other = await office.start(operation_id=identifier)
    assert (other.id, other.done) == (one.id, 4)
    assert len(office.table.keys("op!")) == 1


async def test_what_nobody_started_cannot_be_shown_or_cancelled(office: Office) -> None:
    with pytest.raises(NotFound, match="operation 'nothing' is not known"):
        await office.operations.show("nothing")
    with pytest.raises(NotFound):
        await office.operations.cancel("nothing", BOB, "why not")
    assert await office.operations.step({"operationId": "nothing"}) is None


async def test_a_cancelled_operation_ends_after_its_unit_and_keeps_what_it_has_done(office: Office) -> None:
    begun = await office.start()
    await office.deliver()
    wished = await office.operations.cancel(begun.id, BOB, "wrong fleet")
    assert wished.is_running
    again = await office.operations.cancel(begun.id, ANN, "me too")
    assert again.cancellation == wished.cancellation
    await office.work_off()
    ended = await office.operations.show(begun.id)
    assert (ended.state, ended.done) == (OperationState.CANCELLED, 4)
    assert ended.cancellation is not None
    assert (ended.cancellation.actor, ended.cancellation.reason) == (BOB, "wrong fleet")
    assert office.work.discarded >= 1
    with pytest.raises(NotPossible, match="is cancelled"):
        await office.operations.cancel(begun.id, BOB, "again")


async def test_a_cancellation_that_comes_during_a_unit_costs_neither_the_unit_nor_the_wish(office: Office) -> None:
    begun = await office.start()
    office.work.before_unit = lambda: office.operations.cancel(begun.id, BOB, "stop")
    await office.work_off()
    ended = await office.operations.show(begun.id)
    assert (ended.state, ended.done) == (OperationState.CANCELLED, 1)


async def test_a_fault_is_waited_out_and_said(office: Office) -> None:
    office.work.answers = [DOWN]
    begun = await office.start()
    await office.deliver()
    waiting = await office.operations.show(begun.id)
    assert (waiting.is_running, waiting.problem) == (True, "blob storage: down")
    assert office.queue.delays == [FAULT_PAUSE]
    await office.work_off()
    done = await office.operations.show(begun.id)
    assert (done.state, done.done, done.problem) == (OperationState.DONE, 10, "")


async def test_a_throttle_is_waited_for_as_long_as_it_says(office: Office) -> None:
    office.work.answers = [Throttled("IoT hub", timedelta(seconds=17))]
    await office.start()
    await office.deliver()
    assert office.queue.delays == [timedelta(seconds=17)]


async def test_a_refusal_fails_the_operation_with_its_words(office: Office) -> None:
    office.work.answers = [NotPossible("no container to write to")]
    begun = await office.start()
    await office.work_off()
    failed = await office.operations.show(begun.id)
    assert (failed.state, failed.problem) == (OperationState.FAILED, "no container to write to")
    assert office.work.discarded == 1


async def test_a_bug_is_tried_five_times_in_a_row_and_then_given_up(office: Office) -> None:
    office.work.answers = [ValueError("boom")] * (MOST_STRIKES - 1)
    begun = await office.start()
    await office.work_off()
    assert (await office.operations.show(begun.id)).state is OperationState.DONE
    office.work.answers = [ValueError("boom")] * MOST_STRIKES
    begun = await office.start()
    await office.work_off()
    failed = await office.operations.show(begun.id)
    assert (failed.state, failed.problem) == (OperationState.FAILED, "ValueError: boom")


async def test_a_message_that_was_lost_is_put_again(office: Office) -> None:
    begun = await office.start()
    await office.deliver()
    office.take()
    assert await office.operations.revive() == 0
    office.clock.advance(PATIENCE)
    assert await office.operations.revive() == 1
    await office.work_off()
    assert (await office.operations.show(begun.id)).state is OperationState.DONE
    assert await office.operations.revive() == 0


async def test_an_operation_whose_first_message_could_not_be_put_begins_with_the_sweep(office: Office) -> None:
    office.queue.faults = [DOWN]
    begun = await office.start()
    assert office.queue.messages == []
    office.clock.advance(PATIENCE)
    await office.operations.revive()
    await office.work_off()
    assert (await office.operations.show(begun.id)).state is OperationState.DONE


async def test_a_step_whose_next_message_cannot_be_put_is_called_again(office: Office) -> None:
    begun = await office.start()
    message = office.take()
    office.queue.faults = [DOWN]
    with pytest.raises(InfrastructureFault):
        await office.operations.step(message)
    await office.operations.step(message)
    assert (await office.operations.show(begun.id)).done == 8


async def test_a_double_message_makes_no_second_chain_of_steps(office: Office) -> None:
    office.work.answers = [DOWN]
    begun = await office.start()
    message = office.queue.messages[0]
    await office.deliver()
    assert await office.operations.step(message) is None  # its turn is in half a minute, and has a message
    assert len(office.queue.messages) == 1
    await office.work_off()
    assert (await office.operations.show(begun.id)).done == 10


async def test_of_two_steps_at_once_one_goes_on(office: Office) -> None:
    begun = await office.start()
    message = office.take()
    office.work.before_unit = lambda: office.operations.step(message)
    await office.operations.step(message)
    assert len(office.queue.messages) == 1
    await office.work_off()
    assert (await office.operations.show(begun.id)).done == 10


async def test_whoever_died_before_the_work_was_cleared_away_leaves_that_to_the_next(office: Office) -> None:
    begun = await office.start()
    rows = OperationRows(office.table)
    stored = await rows.load(begun.id)
    assert stored is not None
    now = office.clock.now()
    await rows.save(stored.operation.finished().stamped(now, now), stored.etag)
    office.take()
    office.clock.advance(PATIENCE)
    assert await office.operations.revive() == 1
    await office.work_off()
    assert office.work.discarded == 1
    assert office.table.keys("running!") == []


async def test_old_operations_are_forgotten_but_none_that_runs(office: Office) -> None:
    old = await office.start()
    await office.work_off()
    running = await office.start()
    office.clock.advance(timedelta(days=401))
    await office.operations.revive()
    assert [o.id for o in await office.operations.page(10)] == [running.id]
    with pytest.raises(NotFound):
        await office.operations.show(old.id)


async def test_an_operation_of_many_words_fits_its_row(office: Office) -> None:
    ids = "\n".join(f"device-{n:0120d}" for n in range(1000))
    begun = await office.operations.start(EXPORT, ANN, "audit", {"ids": ids})
    assert (await office.operations.show(begun.id)).parameters["ids"] == ids
    row = office.table.rows["fleet", f"op!{begun.id}"]
    assert max(len(v) for v in row.values.values() if isinstance(v, str)) <= 32 * 1024


async def test_an_operation_that_keeps_changing_is_a_fault_to_who_cancels(office: Office) -> None:
    begun = await office.start()
    office.table.faults = [Conflict("op")] * 8
    with pytest.raises(InfrastructureFault, match="kept changing"):
        await office.operations.cancel(begun.id, BOB, "stop")


def test_all_failures_are_counted_and_the_first_hundred_told() -> None:
    now = FakeClock().now()
    running = Operation(id="op-1", kind=EXPORT, actor=ANN, reason="", created_at=now, updated_at=now, resume_at=now)
    for n in range(3):
        failures = [DeviceFailure(f"dev-{n}-{m}", "no") for m in range(60)]
        running = running.progressed(cursor=str(n), done=1, failures=failures)
    assert (running.done, running.failed, len(running.failures)) == (3, 180, MOST_FAILURES)
    assert replace(running, failures=()).failures == ()
