"""Event hubs that nobody reads: seen from one look to the next, and told once an hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from support.fakes import FakeAlerts, FakeClock, FakeTable

from shared.domain.fleet_alerts import FleetAlertType
from shared.errors import InfrastructureFault
from shared.services.event_lag import EventLag, Position

MINUTE = timedelta(minutes=1)


@dataclass
class FakeEventHub:
    name: str
    positions: list[Position]
    fault: Exception | None = None

    async def read(self) -> Sequence[Position]:
        if self.fault:
            raise self.fault
        return self.positions

    def move(self, number: int, **changes: int) -> None:
        self.positions[number] = replace(self.positions[number], **changes)


@dataclass
class World:
    table: FakeTable = field(default_factory=FakeTable)
    alerts: FakeAlerts = field(default_factory=FakeAlerts)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.hub = FakeEventHub("iot-events", [Position("0", 9, 9), Position("1", None, -1)])
        self.other = FakeEventHub("dps-events", [Position("0", 3, 3)])

    async def look(self, after: timedelta = MINUTE) -> list[str]:
        """A look by an instance that remembers nothing."""
        self.clock.advance(after)
        return await EventLag(self.table, [self.hub, self.other], self.alerts, self.clock).look()


@pytest.fixture
def world() -> World:
    return World()


async def test_a_partition_that_is_read_to_its_end_is_well_however_long_it_is_quiet(world: World):
    for _ in range(20):
        assert await world.look() == []
    assert world.alerts.sent == []


async def test_events_that_wait_while_no_checkpoint_moves_are_told_once_an_hour_by_the_hub(world: World):
    world.hub.move(0, last=12)
    assert [await world.look() for _ in range(5)] == [[]] * 5
    assert await world.look() == ["iot-events"]
    [alert] = world.alerts.sent
    assert (alert.type, alert.subject) == (FleetAlertType.RECORDING_STALLED, "fleet")
    assert alert.data == {
        "eventHub": "iot-events",
        "partition": "0",
        "sequenceNumber": "9",
        "waiting": "3",
        "ageSeconds": "300",
    }
    await world.look()
    assert len({sent.id for sent in world.alerts.sent}) == 1
    await world.look(timedelta(hours=1))
    assert len({sent.id for sent in world.alerts.sent}) == 2


async def test_a_partition_that_was_never_read_stalls_too(world: World):
    world.hub.move(1, last=0)
    for _ in range(6):
        await world.look()
    assert [alert.data["partition"] for alert in world.alerts.sent] == ["1"]


async def test_a_busy_partition_that_moves_is_no_stall_however_far_behind(world: World):
    for number in range(20):
        world.hub.move(0, processed=10 + number, last=10_000)
        assert await world.look() == []


async def test_an_event_hub_that_cannot_be_asked_is_as_it_was(world: World):
    world.hub.move(0, last=12)
    await world.look()
    world.hub.fault = InfrastructureFault("Event Hubs", "down")
    for _ in range(6):
        assert await world.look() == []
    world.hub.fault = None
    assert await world.look() == ["iot-events"]


async def test_what_stands_still_is_written_only_when_that_changes(world: World):
    world.hub.move(0, last=12)
    await world.look()
    row = world.table.rows["fleet", "cursor!event-lag"]
    await world.look()
    assert world.table.rows["fleet", "cursor!event-lag"] == row
