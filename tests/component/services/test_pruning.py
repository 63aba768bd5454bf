"""Pruning: what is older than the setting says goes, nothing else, in steps that go on where the last one ended."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from support.events import DAY
from support.fakes import NOON, FakeClock, FakeTable

from shared.domain.keys import history_key, shard_names, shard_of
from shared.errors import InfrastructureFault
from shared.services import pruning
from shared.services.ports import Row
from shared.services.pruning import Pruning

SHARDS = 4
RETENTION = 400 * DAY


class World:
    """A table with history of many ages."""

    def __init__(self) -> None:
        self.table, self.clock = FakeTable(), FakeClock()
        self.pruning = Pruning(self.table, shard_names(SHARDS), RETENTION, self.clock)

    def happened(self, device_id: str, at: datetime, event: str = "e") -> None:
        shard, key = shard_of(device_id, SHARDS), history_key(device_id, at, event)
        self.table.rows[shard, key] = Row(shard, key, {"at": at, "deviceId": device_id})

    @property
    def instants(self) -> list[datetime]:
        return sorted(row.values["at"] for row in self.table.rows.values() if "at" in row.values)


@pytest.fixture
def world() -> World:
    return World()


async def test_what_is_older_than_the_setting_goes_and_what_is_as_old_stays(world: World):
    ages = [timedelta(), RETENTION - DAY, RETENTION, RETENTION + timedelta(milliseconds=1), 2 * RETENTION]
    for age in ages:
        world.happened("dev-1", NOON - age)
    outcome = await world.pruning.prune()
    assert world.instants == sorted(NOON - age for age in ages[:3])
    assert (outcome.removed, outcome.finished) == (2, True)


async def test_nothing_but_history_is_touched(world: World):
    for key in ("audit!20200101T000000000!x", "device!dev-1", "due!20200101T000000!dev-1", "seen!dev-1"):
        world.table.rows["s00", key] = Row("s00", key, {"at": NOON - 2 * RETENTION})
    await world.pruning.prune()
    assert {key for partition, key in world.table.rows if partition == "s00"} >= {"device!dev-1", "seen!dev-1"}
    assert len(world.instants) == 4


async def test_a_row_that_does_not_say_when_is_left_alone(world: World):
    world.table.rows["s00", "history!dev-1!0!x"] = Row("s00", "history!dev-1!0!x", {"deviceId": "dev-1"})
    assert (await world.pruning.prune()).removed == 0


async def test_a_run_is_bounded_and_the_next_goes_on_behind_it(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pruning, "ROWS_A_STEP", 5)
    monkeypatch.setattr(pruning, "STEPS", 3)
    for number in range(100):
        world.happened(f"dev-{number}", NOON - (2 * RETENTION if number % 2 else DAY))
    runs = []
    while not runs or not runs[-1].finished:
        runs.append(await Pruning(world.table, shard_names(SHARDS), RETENTION, world.clock).prune())
    assert all(run.examined <= 15 for run in runs)
    assert sum(run.examined for run in runs) == 100, "no row is looked at twice"
    assert world.instants == [NOON - DAY] * 50


async def test_a_run_that_dies_is_gone_on_with(world: World):
    for number in range(40):
        world.happened(f"dev-{number}", NOON - 2 * RETENTION)
    world.table.faults = [None, None, InfrastructureFault("table", "down")]
    with pytest.raises(InfrastructureFault):
        await world.pruning.prune()
    await world.pruning.prune()
    assert world.instants == []


async def test_after_a_round_the_table_rests_for_a_day(world: World):
    assert (await world.pruning.prune()).finished
    world.happened("dev-1", NOON - 2 * RETENTION)
    assert (await world.pruning.prune()).examined == 0
    world.clock.advance(DAY)
    assert (await world.pruning.prune()).removed == 1
