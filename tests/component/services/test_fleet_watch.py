"""Heartbeat, capacity, stalled recording and growing backlogs: what is stored, measured and told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

import pytest
from support.events import twin_event
from support.fakes import NOON, FakeAlerts, FakeClock, FakeDeadLetters, FakeSender, FakeTable

from shared.contracts import RenewCertificate
from shared.domain import reasons
from shared.domain.envelope import Envelope
from shared.domain.fleet_alerts import FleetAlertType
from shared.domain.keys import FLEET_PARTITION
from shared.domain.record import Actor
from shared.errors import CommandRefused, InfrastructureFault, Throttled
from shared.services.counting import CountedDeadLetters, CountedSender, CountedTable
from shared.services.deadlines import Deadlines, SweepOutcome
from shared.services.fleet_health import HealthWatch
from shared.services.intake import Intake
from shared.services.ports import Row, Write
from shared.services.recording import Recording
from shared.services.suppressions import Suppressions
from shared.services.sweeps import HEARTBEAT, Sweeps

MINUTE = timedelta(minutes=1)
DOWN = InfrastructureFault("test", "down")


@dataclass
class FakeDeadlines:
    outcome: SweepOutcome = field(default_factory=SweepOutcome)
    faults: list[Exception] = field(default_factory=list)

    async def sweep(self) -> SweepOutcome:
        if self.faults:
            raise self.faults.pop(0)
        return self.outcome


@dataclass
class FakeRecording:
    batches: list[list[Envelope]] = field(default_factory=list)

    async def record_hub_events(self, envelopes: list[Envelope]) -> None:
        self.batches.append(envelopes)

    async def record_dps_events(self, envelopes: list[Envelope]) -> None:
        self.batches.append(envelopes)


@dataclass
class FakeBacklog:
    name: str
    kind: Literal["dead-letters", "poison"]
    waiting: int = 0

    async def count(self) -> int:
        return self.waiting


@dataclass
class World:
    table: FakeTable = field(default_factory=FakeTable)
    alerts: FakeAlerts = field(default_factory=FakeAlerts)
    clock: FakeClock = field(default_factory=FakeClock)
    deadlines: FakeDeadlines = field(default_factory=FakeDeadlines)
    recording: FakeRecording = field(default_factory=FakeRecording)
    letters: FakeBacklog = field(default_factory=lambda: FakeBacklog("dead-letters", "dead-letters"))
    poison: FakeBacklog = field(default_factory=lambda: FakeBacklog("renewal-commands-poison", "poison"))

    def __post_init__(self) -> None:
        self.suppressions = Suppressions(self.table, self.clock)
        self.sweeps = Sweeps(cast(Deadlines, self.deadlines), self.table, self.alerts, self.clock)
        self.intake = Intake(cast(Recording, self.recording), self.alerts, self.clock)
        backlogs = [self.letters, self.poison]
        self.health = HealthWatch(self.table, backlogs, self.alerts, self.suppressions, self.clock)

    async def tick(self) -> None:
        await self.sweeps.sweep()
        self.clock.advance(MINUTE)

    @property
    def heartbeat(self) -> Row:
        return self.table.rows[FLEET_PARTITION, HEARTBEAT]


@pytest.fixture
def world() -> World:
    return World()


async def test_a_sweep_that_succeeds_beats_and_one_that_fails_does_not(world: World):
    await world.tick()
    world.deadlines.faults = [DOWN]
    with pytest.raises(InfrastructureFault):
        await world.sweeps.sweep()
    assert world.heartbeat.values["lastSuccess"] == NOON


async def test_a_sweep_is_measured(world: World, noted: list[Any]):
    counted = Counter({reasons.COMMAND_QUEUED: 3, reasons.OVER_BUDGET: 2, "Invented": 1})
    world.deadlines.outcome = SweepOutcome(
        examined=6, commands=3, over_budget=2, worst_lag=timedelta(seconds=90), reasons=counted
    )
    await world.tick()
    assert noted == [
        ("fleetcert.sweep.examined", 6, {}),
        ("fleetcert.sweep.acted", 3, {}),
        ("fleetcert.sweep.at_capacity", 2, {}),
        ("fleetcert.sweep.lag", 90, {}),
        ("fleetcert.sweep.skipped", 2, {"reason": "OverBudget"}),
        ("fleetcert.sweep.skipped", 1, {"reason": "other"}),
        ("fleetcert.sweep.age", 0, {}),
        ("fleetcert.sweep.last_success", NOON.timestamp(), {}),
    ]


async def test_a_wave_of_a_few_ticks_is_told_to_nobody_and_a_lasting_one_once_an_hour(world: World):
    world.deadlines.outcome = SweepOutcome(commands=50, over_budget=10)
    for _ in range(15):
        await world.tick()
    assert world.alerts.types == []
    for _ in range(60):
        await world.tick()
    assert world.alerts.types == [FleetAlertType.SWEEP_AT_CAPACITY] * 2, "12:15 and 13:00"
    assert len({alert.id for alert in world.alerts.sent}) == 2
    assert world.alerts.sent[0].data["since"] == NOON.isoformat(timespec="seconds")


async def test_a_sweep_with_room_ends_the_wave(world: World):
    for over_budget in (10, 0, 10):
        world.deadlines.outcome = SweepOutcome(over_budget=over_budget)
        for _ in range(14):
            await world.tick()
    assert world.alerts.types == []


async def test_a_capacity_that_cannot_be_told_keeps_the_heart_beating_and_is_told_later(world: World):
    world.deadlines.outcome = SweepOutcome(over_budget=10)
    for _ in range(15):
        await world.tick()
    world.alerts.faults = [DOWN]
    await world.tick()
    assert world.heartbeat.values["lastSuccess"] == NOON + 15 * MINUTE
    await world.tick()
    assert world.alerts.types == [FleetAlertType.SWEEP_AT_CAPACITY]


def event(age: timedelta, hub: str = "iot-events") -> Envelope:
    envelope = twin_event({"certificate": None}, at=NOON - age)
    return Envelope(**{name: getattr(envelope, name) for name in envelope.__slots__} | {"hub": hub})


async def test_events_older_than_five_minutes_are_told_once_an_hour_and_hub_and_recorded_all_the_same(world: World):
    for _ in range(3):
        await world.intake.record_hub_events([event(MINUTE), event(6 * MINUTE)])
    await world.intake.record_dps_events([event(6 * MINUTE, "dps-events")])
    assert [alert.data["eventHub"] for alert in world.alerts.sent] == ["iot-events", "dps-events"]
    assert {alert.type for alert in world.alerts.sent} == {FleetAlertType.RECORDING_STALLED}
    assert world.alerts.sent[0].data["ageSeconds"] == "360"
    assert len(world.recording.batches) == 4
    world.clock.advance(60 * MINUTE)
    await world.intake.record_hub_events([event(6 * MINUTE)])
    assert len(world.alerts.sent) == 3


async def test_every_instance_tells_a_stall_under_the_same_id(world: World):
    other = Intake(cast(Recording, world.recording), world.alerts, world.clock)
    for intake in (world.intake, other):
        await intake.record_hub_events([event(6 * MINUTE)])
    one, same = world.alerts.sent
    assert one.id == same.id


async def test_young_events_empty_batches_and_unknown_times_are_no_stall(world: World, noted: list[Any]):
    await world.intake.record_hub_events([event(5 * MINUTE)])
    await world.intake.record_hub_events([])
    unknown = event(NOON - datetime.min.replace(tzinfo=UTC))
    await world.intake.record_hub_events([unknown])
    assert world.alerts.sent == []
    assert noted == [("fleetcert.recording.lag", 300, {"hub": "iot-events"})]


async def test_a_stall_that_cannot_be_told_does_not_stop_recording(world: World):
    world.alerts.faults = [DOWN]
    for _ in range(2):
        await world.intake.record_hub_events([event(6 * MINUTE)])
    assert len(world.recording.batches) == 2
    assert world.alerts.types == [FleetAlertType.RECORDING_STALLED]


async def test_growth_is_told_and_a_height_is_not(world: World):
    for waiting in (2, 2, 5, 1, 1, 2):
        world.letters.waiting = waiting
        await world.health.look()
        world.clock.advance(5 * MINUTE)
    assert world.alerts.types == [FleetAlertType.DEAD_LETTER_GROWING] * 3
    assert [(a.data["before"], a.data["count"]) for a in world.alerts.sent] == [("0", "2"), ("2", "5"), ("1", "2")]


async def test_a_poison_queue_that_grows_is_told_by_its_name(world: World, noted: list[Any]):
    world.poison.waiting = 1
    await world.health.look()
    assert [(a.type, a.data["queue"]) for a in world.alerts.sent] == [
        (FleetAlertType.POISON_GROWING, "renewal-commands-poison")
    ]
    assert noted == [
        ("fleetcert.dead_letters.waiting", 0, {}),
        ("fleetcert.poison.waiting", 1, {"queue": "renewal-commands-poison"}),
    ]


async def test_growth_that_could_not_be_told_is_told_at_the_next_look(world: World):
    world.letters.waiting = 3
    world.alerts.faults = [DOWN]
    with pytest.raises(InfrastructureFault):
        await world.health.look()
    await world.health.look()
    await world.health.look()
    assert world.alerts.types == [FleetAlertType.DEAD_LETTER_GROWING]


async def test_growth_that_was_told_and_not_stored_is_told_again_under_the_same_id(world: World):
    world.letters.waiting = 3
    world.table.faults = [DOWN]
    with pytest.raises(InfrastructureFault):
        await world.health.look()
    world.clock.advance(5 * MINUTE)
    await world.health.look()
    one, again = world.alerts.sent
    assert one.id == again.id


async def test_the_age_of_the_heartbeat_is_measured_without_the_sweep(world: World, noted: list[Any]):
    assert (await world.health.look()).sweep_age is None
    await world.tick()
    world.clock.advance(9 * MINUTE)
    assert (await world.health.look()).sweep_age == 10 * MINUTE
    assert noted[-1] == ("fleetcert.sweep.age", 600, {})


async def test_a_look_removes_suppressions_that_have_ended(world: World):
    ann = Actor(name="ann")
    await world.suppressions.add(alert_type="*", device="*", until=NOON + MINUTE, actor=ann, reason="planned")
    world.clock.advance(MINUTE)
    await world.health.look()
    assert world.table.keys("suppression!") == []


COMMAND = RenewCertificate(
    command_id="c", device_id="d", reason="windowOpen", thumbprint=None, valid_until=NOON, renew_by=NOON
)


@pytest.mark.parametrize(
    ("answer", "measured"),
    [
        (None, ("fleetcert.commands.sent", 1, {})),
        (Throttled("IoT hub", MINUTE), ("fleetcert.commands.refused", 1, {"condition": "throttled"})),
        (CommandRefused("queue-full", ""), ("fleetcert.commands.refused", 1, {"condition": "queue-full"})),
        (DOWN, None),
    ],
)
async def test_commands_are_counted_by_what_became_of_them(noted: list[Any], answer: Exception | None, measured: Any):
    sender = CountedSender(FakeSender(answers=[answer] if answer else []))
    if answer:
        with pytest.raises(type(answer)):
            await sender.send(COMMAND, NOON)
    else:
        await sender.send(COMMAND, NOON)
    assert noted == ([measured] if measured else [])


async def test_dead_letters_are_counted_once_they_are_kept(noted: list[Any]):
    letters = CountedDeadLetters(FakeDeadLetters(faults=[DOWN]))
    with pytest.raises(InfrastructureFault):
        await letters.keep(event(MINUTE), "bad")
    await letters.keep(event(MINUTE), "bad")
    assert noted == [("fleetcert.dead_letters", 1, {"hub": "iot-events"})]


async def test_changes_are_counted_by_kind_once_they_are_written(noted: list[Any]):
    table = CountedTable(FakeTable(faults=[DOWN]))
    history = Write("upsert", Row("s00", "history!d!1!e", {"kind": reasons.HISTORY_RENEWED}))
    strange = Write("upsert", Row("s00", "history!d!2!e", {"kind": "dev-17"}))
    pruned = Write("delete", Row("s00", "history!d!3!e", {}))
    record = Write("insert", Row("s00", "device!d", {}))
    with pytest.raises(InfrastructureFault):
        await table.commit("s00", [history])
    await table.commit("s00", [history, strange, pruned, record])
    assert noted == [
        ("fleetcert.recorded.changes", 1, {"kind": "certificateRenewed"}),
        ("fleetcert.recorded.changes", 1, {"kind": "other"}),
    ]
    assert [row.key async for row in table.scan("s00", "", "~")] == ["device!d", "history!d!1!e", "history!d!2!e"]
    assert await table.get("s00", "nothing") is None
    assert await table.get_many("s00", ["nothing"]) == {}
