"""The services over fakes: what is stored, what leaves, and what survives a fault."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction

import pytest
from support.events import DAY, claim, dps_event, dps_record, hub_event, lifecycle_event, twin_event
from support.fakes import (
    NOON,
    FakeAlerts,
    FakeClock,
    FakeDeadLetters,
    FakeHub,
    FakeProvisioning,
    FakeQueue,
    FakeSender,
    FakeTable,
)

from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.changes import Policies, Reduction
from shared.domain.envelope import Envelope
from shared.domain.policy import BeliefPolicy
from shared.domain.record import Actor, DeviceRecord, State
from shared.errors import CommandRefused, InfrastructureFault, NotFound, NotPossible, SettingsError, Throttled
from shared.services.batches import TRIES_AS_A_BATCH
from shared.services.commands import Commands
from shared.services.deadlines import Deadlines
from shared.services.devices import Devices
from shared.services.listing import Listing
from shared.services.outbox import Outbox
from shared.services.pacing import Budget
from shared.services.recording import Recording
from shared.services.store import FleetStore

ANN = Actor(name="ann", object_id="o-1", app_id="a-1")
DOWN = InfrastructureFault("test", "down")


@dataclass
class World:
    """Every service over one set of fakes."""

    table: FakeTable = field(default_factory=FakeTable)
    alerts: FakeAlerts = field(default_factory=FakeAlerts)
    commands_queue: FakeQueue = field(default_factory=FakeQueue)
    containment_queue: FakeQueue = field(default_factory=FakeQueue)
    dead_letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    hub: FakeHub = field(default_factory=FakeHub)
    provisioning: FakeProvisioning = field(default_factory=FakeProvisioning)
    sender: FakeSender = field(default_factory=FakeSender)
    clock: FakeClock = field(default_factory=FakeClock)
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        policies = Policies(belief=BeliefPolicy(validity=30 * DAY))
        self.store = FleetStore(self.table, 4)
        self.outbox = Outbox(self.store, self.alerts, self.commands_queue, self.containment_queue)
        self.recording = Recording(self.store, self.outbox, self.dead_letters, self.hub, policies, self.clock)
        self.deadlines = Deadlines(self.store, self.outbox, self.hub, policies, self.budget, self.clock)
        self.commands = Commands(self.store, self.sender, self.hub, policies, self.clock)
        self.devices = Devices(self.store, self.deadlines, self.clock)
        self.listing = Listing(self.table, self.store.partitions)

    async def record(self, device_id: str = "dev-1") -> DeviceRecord:
        stored = await self.store.load(device_id)
        assert stored is not None
        return stored.record

    async def issue(self, *device_ids: str) -> None:
        events = [
            twin_event({"certificate": claim(thumbprint=f"{n:064x}")}, device_id=d, sequence=n)
            for n, d in enumerate(device_ids)
        ]
        await self.recording.record_hub_events(events)

    def at(self, instant: datetime) -> None:
        self.clock.advance(instant - self.clock.now())

    async def to_the_window(self, device_id: str = "dev-1") -> None:
        due = (await self.record(device_id)).due_at
        assert due is not None
        self.at(due)


@pytest.fixture
def world() -> World:
    return World()


def rows_of(world: World) -> list[str]:
    """The kinds of rows in the table, with their counts."""
    return [key.split("!")[0] for key in world.table.keys("")]


async def test_a_certificate_is_recorded_with_its_deadline_expiry_and_history_in_one_transaction(world: World) -> None:
    world.table.faults = [None, DOWN]  # the second commit would be the outbox's confirmation
    await world.recording.record_hub_events([twin_event({"certificate": claim()})])
    assert world.table.commits == 1
    assert sorted(rows_of(world)) == ["audit", "device", "due", "expires", "history"]
    assert (await world.record()).state is State.VALID


async def test_the_outbox_confirms_what_was_just_written_without_reading_it_again(world: World) -> None:
    await world.issue("dev-1", "dev-2")
    assert world.table.reads == 2
    assert [(await world.record(d)).pending for d in ("dev-1", "dev-2")] == [(), ()]


async def test_the_outbox_reads_again_what_somebody_changed_while_it_sent(world: World) -> None:
    async def meddle() -> None:
        await world.store.update(["dev-1"], lambda _, r: r and Reduction(replace(r, tags={"site": "a"})))

    async def between() -> None:
        world.table.before_commit = meddle

    world.table.before_commit = between  # the first commit records, and before the second another writes
    await world.issue("dev-1")
    record = await world.record()
    assert (record.pending, record.dispatch_by, record.tags) == ((), None, {"site": "a"})


async def test_an_alert_leaves_once_and_is_confirmed(world: World) -> None:
    await world.issue("dev-1")
    assert world.alerts.types == [AlertType.CERTIFICATE_ISSUED]
    record = await world.record()
    assert (record.pending, record.dispatch_by) == ((), None)


async def test_an_alert_that_could_not_leave_is_sent_by_the_sweep_under_the_same_id(world: World) -> None:
    world.alerts.faults = [DOWN]
    await world.issue("dev-1")
    pending = (await world.record()).pending
    assert len(pending) == 1
    assert world.alerts.sent == []
    world.clock.advance(timedelta(minutes=2))
    await world.deadlines.sweep()
    assert [a.id for a in world.alerts.sent] == [pending[0].id]
    assert (await world.record()).pending == ()


async def test_a_bad_event_becomes_a_dead_letter_and_the_batch_goes_on(world: World) -> None:
    bad = twin_event({"certificate": {**claim(), "validFrom": "yesterday"}}, sequence=7, device_id="garbled")
    await world.recording.record_hub_events([bad, twin_event({"certificate": claim()}, sequence=8)])
    assert world.dead_letters.kept == {"iot-events/0/7": "validFrom is no instant"}
    assert (await world.record()).state is State.VALID
    assert await world.store.load("garbled") is None


async def test_a_batch_whose_dead_letter_cannot_be_kept_is_retried(world: World) -> None:
    world.dead_letters.faults = [DOWN]
    bad = hub_event(b'{"certificate"', "twinChangeEvents", "updateTwin")
    with pytest.raises(InfrastructureFault):
        await world.recording.record_hub_events([bad])


async def test_a_fault_of_the_table_is_raised_so_that_the_batch_is_retried(world: World) -> None:
    world.table.faults = [DOWN]
    with pytest.raises(InfrastructureFault):
        await world.issue("dev-1")
    await world.issue("dev-1")
    assert (await world.record()).state is State.VALID


async def test_a_bug_is_retried_and_then_blocks_only_its_own_event(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    original: Callable[[Envelope], object] = __import__("shared.services.recording", fromlist=["x"]).parse_hub_event

    def buggy(envelope: Envelope) -> object:
        if envelope.sequence_number == 1:
            raise ZeroDivisionError
        return original(envelope)

    monkeypatch.setattr("shared.services.recording.parse_hub_event", buggy)
    batch = [
        twin_event({"certificate": claim()}, sequence=1, device_id="culprit"),
        twin_event({"certificate": claim()}, sequence=2),
    ]
    for _ in range(TRIES_AS_A_BATCH - 1):
        with pytest.raises(ZeroDivisionError):
            await world.recording.record_hub_events(batch)
    await world.recording.record_hub_events(batch)
    assert world.dead_letters.kept == {"iot-events/0/1": "unexpected ZeroDivisionError"}
    assert (await world.record()).state is State.VALID


async def test_noise_costs_no_storage_request(world: World) -> None:
    noise = hub_event(
        {"properties": {"reported": {"temperature": 21, "$version": 2}}}, "twinChangeEvents", "updateTwin"
    )
    await world.recording.record_hub_events([noise] * 100)
    assert world.table.commits == 0
    assert world.hub.reads == 0


async def test_an_unclear_patch_is_answered_by_reading_the_twin_once(world: World) -> None:
    dates = {"validFrom": "2026-11-23T12:00:00Z", "validUntil": "2026-12-23T12:00:00Z"}
    world.hub.twins["dev-1"] = {"properties": {"reported": {"certificate": dates, "$version": 3}}}
    await world.recording.record_hub_events([twin_event({"certificate": dates}, version=3)])
    assert world.hub.reads == 1
    assert (await world.record()).version == 3


async def test_a_record_that_changes_under_the_writer_is_read_and_reduced_again(world: World) -> None:
    await world.issue("dev-1")

    async def somebody_else() -> None:
        await world.store.update(["dev-1"], lambda _, r: _tagged(r))

    world.table.before_commit = somebody_else
    renewed = twin_event({"certificate": claim(NOON + DAY, thumbprint="bb" * 32)}, version=3, at=NOON + DAY)
    await world.recording.record_hub_events([renewed])
    record = await world.record()
    assert (record.tags, record.version) == ({"site": "x"}, 3)


def _tagged(record: DeviceRecord | None):
    from shared.domain.changes import Reduction

    assert record is not None
    return Reduction(replace(record, tags={"site": "x"}))


async def test_a_batch_of_many_devices_is_written_in_few_transactions(world: World) -> None:
    await world.issue(*(f"dev-{n}" for n in range(100)))
    assert world.table.commits <= 4 * 6 + 4 * 2  # 5 rows a device, then the outbox's confirmation
    assert len(world.table.keys("device!")) == 100


async def test_a_device_has_at_most_one_deadline_row_all_its_life(world: World) -> None:
    await world.issue("dev-1")
    for _ in range(30):
        await world.to_the_window()
        await world.deadlines.sweep()
        for message in world.commands_queue.messages[-1:]:
            await world.commands.send(message)
        assert len(world.table.keys("due!")) == 1
        assert len(world.table.keys("expires!")) == 1


async def test_a_certificate_in_its_window_is_commanded_sent_and_renewed(world: World) -> None:
    await world.issue("dev-1")
    await world.to_the_window()
    outcome = await world.deadlines.sweep()
    assert (outcome.examined, outcome.commands) == (1, 1)
    assert (await world.record()).state is State.DISPATCHING
    await world.commands.send(world.commands_queue.messages[0])
    record = await world.record()
    assert (record.state, record.reason) == (State.COMMANDED, reasons.COMMAND_IN_FLIGHT)
    command, expires = world.sender.sent[0]
    assert (command.command_id, command.reason, expires) == (
        world.commands_queue.messages[0]["commandId"],
        "windowOpen",
        world.clock.now() + timedelta(hours=1),
    )
    later = world.clock.now()
    renewed = twin_event({"certificate": claim(later, thumbprint="bb" * 32)}, version=3, at=later)
    await world.recording.record_hub_events([renewed])
    assert (await world.record()).state is State.VALID
    assert world.alerts.types[-1] == AlertType.CERTIFICATE_RENEWED


async def test_a_command_is_sent_once_however_often_its_message_comes(world: World) -> None:
    await world.issue("dev-1")
    await world.to_the_window()
    await world.deadlines.sweep()
    for _ in range(3):
        await world.commands.send(world.commands_queue.messages[0])
    assert len(world.sender.sent) == 1


async def test_a_command_whose_queue_was_down_goes_out_later_under_the_same_id(world: World) -> None:
    await world.issue("dev-1")
    await world.to_the_window()
    world.commands_queue.faults = [DOWN]
    await world.deadlines.sweep()
    command = (await world.record()).command
    assert command is not None
    world.clock.advance(timedelta(minutes=2))
    await world.deadlines.sweep()
    assert [m["commandId"] for m in world.commands_queue.messages] == [command.id]


async def test_a_throttled_command_leaves_again_when_the_hub_said(world: World) -> None:
    await world.issue("dev-1")
    await world.to_the_window()
    await world.deadlines.sweep()
    world.sender.answers = [Throttled("IoT Hub", timedelta(seconds=30))]
    await world.commands.send(world.commands_queue.messages[0])
    record = await world.record()
    assert (record.reason, record.due_at) == (reasons.COMMAND_THROTTLED, world.clock.now() + timedelta(seconds=30))
    world.clock.advance(timedelta(seconds=30))
    await world.deadlines.sweep()
    await world.commands.send(world.commands_queue.messages[-1])
    assert world.commands_queue.messages[0] == world.commands_queue.messages[1]
    assert len(world.sender.sent) == 1


async def test_a_full_device_queue_waits_for_the_next_attempt(world: World) -> None:
    await world.issue("dev-1")
    await world.to_the_window()
    await world.deadlines.sweep()
    world.sender.answers = [CommandRefused("queue-full", "403004")]
    await world.commands.send(world.commands_queue.messages[0])
    record = await world.record()
    assert record.reason == reasons.DEVICE_QUEUE_FULL
    assert record.due_at == world.clock.now() + timedelta(hours=1)


async def test_a_device_that_the_hub_does_not_know_retires_when_it_cannot_be_reached(world: World) -> None:
    await world.issue("dev-1")
    await world.to_the_window()
    await world.deadlines.sweep()
    world.sender.answers = [CommandRefused("unreachable", "404001")]
    await world.commands.send(world.commands_queue.messages[0])
    assert (await world.record()).state is State.RETIRED
    assert world.table.keys("due!") == []


async def test_a_disabled_identity_is_not_taken_for_a_deleted_one(world: World) -> None:
    world.hub.add("dev-1", status="disabled")
    await world.issue("dev-1")
    await world.to_the_window()
    await world.deadlines.sweep()
    world.sender.answers = [CommandRefused("unreachable", "404001")]
    await world.commands.send(world.commands_queue.messages[0])
    assert (await world.record()).reason == reasons.DEVICE_UNREACHABLE


async def test_commands_over_the_budget_wait_for_their_slot_and_the_most_urgent_go_first() -> None:
    world = World(budget=Budget(per_minute=4, share=Fraction(1, 2)))
    await world.issue(*(f"dev-{n}" for n in range(5)))
    world.at(NOON + 26 * DAY)
    outcome = await world.deadlines.sweep()
    assert (outcome.commands, outcome.over_budget) == (2, 3)
    assert world.commands_queue.delays == [timedelta(), timedelta(seconds=30)]
    waiting = [r for n in range(5) if (r := await world.record(f"dev-{n}")).state is State.DUE]
    assert sorted(r.due_at for r in waiting if r.due_at) == [
        world.clock.now() + timedelta(seconds=s) for s in (60, 60, 120)
    ]


async def test_every_ticks_budget_is_used_while_devices_wait() -> None:
    world = World(budget=Budget(per_minute=4, share=Fraction(1, 2)))
    await world.issue(*(f"dev-{n}" for n in range(8)))
    world.at(NOON + 26 * DAY)
    commands = []
    for _ in range(4):
        commands.append((await world.deadlines.sweep()).commands)
        world.clock.advance(timedelta(minutes=1))
    assert commands == [2, 2, 2, 2]


async def test_a_record_on_which_a_rule_fails_is_due_again_in_an_hour(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    await world.issue("dev-1", "dev-2")
    await world.to_the_window("dev-1")
    world.clock.advance(2 * DAY)
    original = __import__("shared.services.deadlines", fromlist=["x"]).decide

    def failing(record: DeviceRecord, *rest: object) -> object:
        if record.device_id == "dev-1":
            raise ZeroDivisionError("no lifetime")
        return original(record, *rest)

    monkeypatch.setattr("shared.services.deadlines.decide", failing)
    outcome = await world.deadlines.sweep()
    assert (outcome.failed, outcome.commands) == (1, 1)
    record = await world.record("dev-1")
    assert (record.reason, record.due_at) == (reasons.EVALUATION_FAILED, world.clock.now() + timedelta(hours=1))


async def test_a_registration_without_a_report_leads_to_one_look_at_the_twin(world: World) -> None:
    world.hub.twins["dev-1"] = {
        "properties": {"reported": {"certificate": claim(NOON + timedelta(seconds=5)), "$version": 4}}
    }
    await world.recording.record_dps_events([dps_event({"records": [dps_record()]})])
    assert (await world.record()).state is State.PROVISIONAL
    world.clock.advance(timedelta(minutes=1))
    await world.deadlines.sweep()
    record = await world.record()
    assert (world.hub.reads, record.state, record.version) == (1, State.VALID, 4)
    await world.deadlines.sweep()
    assert world.hub.reads == 1


async def test_a_look_that_fails_is_taken_again(world: World) -> None:
    await world.recording.record_dps_events([dps_event({"records": [dps_record()]})])
    world.clock.advance(timedelta(minutes=1))
    world.hub.faults = [DOWN]
    outcome = await world.deadlines.sweep()
    assert outcome.failed == 1
    assert (await world.record()).look_at == world.clock.now() + timedelta(minutes=5)


async def test_a_look_at_a_device_that_is_gone_retires_it(world: World) -> None:
    await world.recording.record_dps_events([dps_event({"records": [dps_record()]})])
    world.clock.advance(timedelta(minutes=1))
    await world.deadlines.sweep()
    assert (await world.record()).state is State.RETIRED


async def test_an_operator_renews_by_hand_at_once(world: World) -> None:
    await world.issue("dev-1")
    record = await world.devices.renew("dev-1", ANN, "key ceremony")
    assert record.state is State.DISPATCHING
    assert len(world.commands_queue.messages) == 1
    kinds = [row.values["kind"] for row in await world.store.history("dev-1", 10)]
    assert set(kinds) >= {reasons.HISTORY_RENEWAL_REQUESTED, reasons.HISTORY_COMMANDED}
    actors = {row.values["actor"] for row in await world.store.history("dev-1", 10)}
    assert actors == {"ann", "fleetcert"}


async def test_a_device_that_cannot_renew_is_not_asked(world: World) -> None:
    with pytest.raises(NotFound):
        await world.devices.renew("dev-1", ANN, "why not")
    await world.issue("dev-1")
    world.at(NOON + 31 * DAY)
    await world.deadlines.sweep()
    with pytest.raises(NotPossible, match="expired"):
        await world.devices.renew("dev-1", ANN, "too late")


async def test_pages_hold_every_device_once_by_expiry(world: World) -> None:
    events = [
        twin_event(
            {"certificate": claim(lifetime=(1 + n % 7) * DAY, thumbprint=f"{n:064x}")}, device_id=f"d{n}", sequence=n
        )
        for n in range(25)
    ]
    await world.recording.record_hub_events([*events, lifecycle_event("createDeviceIdentity", device_id="new")])
    seen, cursor = [], None
    while True:
        page = await world.listing.page(7, cursor)
        seen.extend(page.devices)
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(line.device_id for line in seen) == sorted([*(f"d{n}" for n in range(25)), "new"])
    ends = [line.valid_until for line in seen[:-1]]
    assert ends == sorted(ends, key=str)
    assert seen[-1].device_id == "new"


async def test_a_retired_device_leaves_the_lists_and_keeps_its_history(world: World) -> None:
    await world.issue("dev-1")
    await world.recording.record_hub_events([lifecycle_event("deleteDeviceIdentity", at=NOON + DAY, sequence=9)])
    assert (await world.listing.page(10)).devices == ()
    assert len(await world.store.history("dev-1", 10)) == 2


async def test_the_number_of_shards_cannot_change(world: World) -> None:
    await world.store.check_layout()
    await world.store.check_layout()
    with pytest.raises(SettingsError, match="SHARDS"):
        await FleetStore(world.table, 8).check_layout()
