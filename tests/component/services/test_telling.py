"""What reaches people: digests, suppressions, and that security is never kept back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from support.fakes import NOON, FakeAlerts, FakeClock, FakeTable

from shared.contracts import AlertType
from shared.domain.alerts import Alert, device_alert
from shared.domain.fleet_alerts import FleetAlertType
from shared.domain.record import Actor
from shared.domain.suppressing import CONTAINMENT_ALERTS
from shared.errors import InfrastructureFault, NotPossible
from shared.schemas.alert_examples import data_of
from shared.services.suppressions import LONGEST, MOST, Suppressions
from shared.services.telling import DIGEST_ABOVE, Telling, digest

ANN = Actor(name="ann", object_id="o-1", app_id="a-1")
HOUR = timedelta(hours=1)
ISSUED, EXPIRED = AlertType.CERTIFICATE_ISSUED, AlertType.CERTIFICATE_EXPIRED


@dataclass
class FakeTags:
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: int = 0

    async def tags_of(self, device_ids: Collection[str]) -> Mapping[str, Mapping[str, str]]:
        self.asked += 1
        return {d: self.tags[d] for d in device_ids if d in self.tags}


class DownTable(FakeTable):
    async def scan(self, *_: Any, **__: Any) -> Any:
        raise InfrastructureFault("table", "down")
        yield


@dataclass
class World:
    alerts: FakeAlerts = field(default_factory=FakeAlerts)
    table: FakeTable = field(default_factory=FakeTable)
    clock: FakeClock = field(default_factory=FakeClock)
    tags: FakeTags = field(default_factory=FakeTags)

    def __post_init__(self) -> None:
        self.suppressions = Suppressions(self.table, self.clock)
        self.telling = Telling(self.alerts, self.suppressions, self.tags)

    async def suppress(self, alert_type: str = "*", device: str = "*", life: timedelta = HOUR) -> str:
        suppression = await self.suppressions.add(
            alert_type=alert_type, device=device, until=self.clock.now() + life, actor=ANN, reason="planned"
        )
        return suppression.id


@pytest.fixture
def world() -> World:
    return World()


def alerts_of(kind: str, count: int) -> list[Alert]:
    data = {name: value for name, value in data_of(kind).items() if name != "deviceId"}
    return [device_alert(kind, f"dev-{n:04}", "x", NOON + timedelta(seconds=n), data) for n in range(count)]


async def test_as_many_as_the_threshold_are_told_one_by_one(world: World):
    alerts = alerts_of(ISSUED, DIGEST_ABOVE)
    await world.telling.publish(alerts)
    assert world.alerts.sent == alerts


async def test_one_more_and_they_are_one_digest_with_its_count(world: World, noted: list[Any]):
    await world.telling.publish([*alerts_of(ISSUED, DIGEST_ABOVE + 1), *alerts_of(EXPIRED, 2)])
    assert world.alerts.types == [FleetAlertType.DIGEST, EXPIRED, EXPIRED]
    told = world.alerts.sent[0]
    assert (told.data["alertType"], told.data["count"]) == (ISSUED, "21")
    assert str(told.data["deviceIds"]).split(" ") == [f"dev-{n:04}" for n in range(21)]
    assert noted == [("fleetcert.alerts.digests", 1, {"alert.type": ISSUED})]


def test_a_digest_names_the_first_hundred_and_counts_all():
    told = digest(alerts_of(ISSUED, 250))
    assert told.data["count"] == "250"
    assert str(told.data["deviceIds"]).split(" ") == [f"dev-{n:04}" for n in range(100)]


def test_the_same_dispatch_in_another_order_is_the_same_digest_and_another_dispatch_is_not():
    alerts = alerts_of(ISSUED, 30)
    assert digest(alerts) == digest(alerts[::-1])
    assert digest(alerts).id != digest(alerts[1:]).id


@pytest.mark.parametrize("kind", sorted(CONTAINMENT_ALERTS))
async def test_what_is_about_containment_is_told_one_by_one_whatever_is_suppressed(world: World, kind: str):
    await world.suppress()
    await world.suppress(kind)
    alerts = alerts_of(kind, 3 * DIGEST_ABOVE)
    await world.telling.publish(alerts)
    assert world.alerts.sent == alerts


@pytest.mark.parametrize(
    ("alert_type", "device", "is_told"),
    [
        ("*", "*", False),
        (ISSUED, "*", False),
        (EXPIRED, "*", True),
        (ISSUED, "dev-0000", False),
        ("*", "dev-0000", False),
        ("*", "dev-0001", True),
        ("*", "tag:site=lab", False),
        ("*", "tag:site=field", True),
        (EXPIRED, "tag:site=lab", True),
    ],
)
async def test_a_suppression_covers_its_type_and_its_devices(
    world: World, noted: list[Any], alert_type: str, device: str, is_told: bool
):
    world.tags.tags = {"dev-0000": {"site": "lab"}}
    await world.suppress(alert_type, device)
    await world.telling.publish(alerts_of(ISSUED, 1))
    assert world.alerts.types == ([ISSUED] if is_told else [])
    counted = [] if is_told else [("fleetcert.alerts.suppressed", 1, {"alert.type": ISSUED})]
    assert noted == counted, "what is not told is counted"


async def test_tags_are_asked_for_only_where_a_suppression_chooses_by_them(world: World):
    await world.suppress(EXPIRED)
    await world.telling.publish(alerts_of(ISSUED, 1))
    assert world.tags.asked == 0


async def test_a_suppression_ends(world: World):
    await world.suppress(life=HOUR)
    world.clock.advance(HOUR)
    await world.telling.publish(alerts_of(ISSUED, 1))
    assert world.alerts.types == [ISSUED]
    assert world.table.keys("suppression!") != []
    assert await world.suppressions.prune() == 1
    assert world.table.keys("suppression!") == []


async def test_a_suppression_of_another_instance_is_heeded_within_half_a_minute(world: World):
    await world.telling.publish(alerts_of(ISSUED, 1))
    other = Suppressions(world.table, world.clock)
    await other.add(alert_type="*", device="*", until=NOON + HOUR, actor=ANN, reason="planned")
    world.clock.advance(timedelta(seconds=30))
    await world.telling.publish(alerts_of(ISSUED, 1))
    assert len(world.alerts.sent) == 1


async def test_a_lifted_suppression_keeps_nothing_back(world: World):
    await world.suppressions.lift(await world.suppress(), ANN, "it is over")
    await world.telling.publish(alerts_of(ISSUED, 1))
    assert world.alerts.types == [ISSUED]


async def test_where_suppressions_cannot_be_read_everything_is_told():
    world = World(table=DownTable())
    await world.telling.publish(alerts_of(ISSUED, 1))
    assert world.alerts.types == [ISSUED]


async def test_nothing_to_tell_is_no_request(world: World):
    world.alerts.faults = [InfrastructureFault("event grid", "asked")]
    await world.suppress()
    await world.telling.publish(alerts_of(ISSUED, 1))


async def test_a_fault_of_event_grid_is_the_callers_to_know(world: World):
    world.alerts.faults = [InfrastructureFault("event grid", "down")]
    with pytest.raises(InfrastructureFault):
        await world.telling.publish(alerts_of(ISSUED, 1))


@pytest.mark.parametrize(
    "changes",
    [
        {"until": NOON},
        {"until": NOON + LONGEST + HOUR},
        {"reason": " "},
        {"device": "tag:lab"},
    ],
)
async def test_a_suppression_needs_an_end_a_reason_and_a_whole_tag(world: World, changes: dict[str, Any]):
    wanted: dict[str, Any] = {"alert_type": "*", "device": "*", "until": NOON + HOUR, "actor": ANN, "reason": "r"}
    with pytest.raises(NotPossible):
        await world.suppressions.add(**wanted | changes)
    assert world.table.rows == {}


async def test_who_suppressed_and_why_is_kept(world: World):
    await world.suppress()
    [suppression] = await world.suppressions.current()
    assert (suppression.actor, suppression.reason) == (ANN, "planned")


async def test_there_is_an_end_to_how_many_may_stand(world: World):
    for _ in range(MOST):
        await world.suppress(EXPIRED)
    with pytest.raises(NotPossible):
        await world.suppress(EXPIRED)
    world.clock.advance(HOUR)
    await world.suppress(EXPIRED)
