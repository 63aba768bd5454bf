"""What operators rule for the fleet: what stands, who may not be forgotten, and what an auditor reads of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from support.fakes import NOON, FakeClock, FakeTable

from shared.domain.record import Actor
from shared.errors import Conflict, InfrastructureFault, NotFound, NotPossible
from shared.services.pauses import MOST, Pauses
from shared.services.suppressions import Suppressions

ANN = Actor(name="ann", object_id="o-1", app_id="a-1")
BOB = Actor(name="bob", object_id="o-2")
HOUR = timedelta(hours=1)


@dataclass
class World:
    table: FakeTable = field(default_factory=FakeTable)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.pauses = Pauses(self.table, self.clock)
        self.suppressions = Suppressions(self.table, self.clock)

    async def suppress(self, suppression_id: str | None = None, life: timedelta = HOUR) -> str:
        suppression = await self.suppressions.add(
            alert_type="*",
            device="tag:site=lab",
            until=self.clock.now() + life,
            actor=ANN,
            reason="tests",
            suppression_id=suppression_id,
        )
        return suppression.id

    def audited(self) -> list[dict[str, Any]]:
        """What waits for the audit, oldest first."""
        return [dict(self.table.rows["fleet", key].values) for key in self.table.keys("audit!")]


@pytest.fixture
def world() -> World:
    return World()


async def test_every_ruling_leaves_its_actor_and_its_reason_for_the_audit(world: World):
    pause = await world.pauses.pause(NOON + HOUR, ANN, "DPS is down", "site=bern")
    world.clock.advance(timedelta(seconds=1))
    await world.pauses.resume(BOB, "it is up", "site=bern")
    world.clock.advance(timedelta(seconds=1))
    suppressed = await world.suppress()
    world.clock.advance(timedelta(seconds=1))
    await world.suppressions.lift(suppressed, BOB, "they are over")
    told = [(e["kind"], e["actor"], e["actorObjectId"], e["reason"]) for e in world.audited()]
    assert told == [
        ("renewalsPaused", "ann", "o-1", "DPS is down"),
        ("renewalsResumed", "bob", "o-2", "it is up"),
        ("alertsSuppressed", "ann", "o-1", "tests"),
        ("suppressionLifted", "bob", "o-2", "they are over"),
    ]
    details = [json.loads(str(entry["details"])) for entry in world.audited()]
    assert details[:2] == [{"id": pause.id, "tag": "site=bern", "until": "2026-11-23T13:00:00Z"}] * 2
    assert details[3] == {
        "id": suppressed,
        "alertType": "*",
        "device": "tag:site=lab",
        "until": "2026-11-23T13:00:02Z",
    }
    assert not any("deviceId" in entry for entry in world.audited())


@pytest.mark.parametrize("name", ["pause", "resume", "suppress", "lift"])
async def test_a_ruling_and_its_entry_are_written_together_or_not_at_all(world: World, name: str):
    if name == "resume":
        await world.pauses.pause(NOON + HOUR, ANN, "x")
    suppressed = await world.suppress() if name == "lift" else ""
    calls = {
        "pause": lambda: world.pauses.pause(NOON + HOUR, ANN, "x"),
        "resume": lambda: world.pauses.resume(ANN, "x"),
        "suppress": world.suppress,
        "lift": lambda: world.suppressions.lift(suppressed, ANN, "x"),
    }
    before = dict(world.table.rows)
    world.table.faults = [InfrastructureFault("table", "down")]
    with pytest.raises(InfrastructureFault):
        await calls[name]()
    assert world.table.rows == before
    commits = world.table.commits
    await calls[name]()
    assert world.table.commits == commits + 1
    assert len(world.table.keys("audit!")) == len([k for _, k in before if k.startswith("audit!")]) + 1


async def test_what_stands_is_read_anew_and_ordered_by_its_end(world: World):
    other = Pauses(world.table, world.clock)
    await other.pause(NOON + 3 * HOUR, ANN, "x")
    await other.pause(NOON + HOUR, BOB, "y", "site=bern")
    await other.pause(NOON + 2 * HOUR, BOB, "y", "site=oslo")
    assert [(p.tag, p.actor.name, p.ruled_at) for p in await world.pauses.standing()] == [
        ("site=bern", "bob", NOON),
        ("site=oslo", "bob", NOON),
        (None, "ann", NOON),
    ]
    world.clock.advance(HOUR)
    assert [p.tag for p in await world.pauses.standing()] == ["site=oslo", None]


async def test_a_second_pause_of_the_same_replaces_the_first(world: World):
    await world.pauses.pause(NOON + HOUR, ANN, "x")
    second = await world.pauses.pause(NOON + 2 * HOUR, BOB, "longer")
    assert await world.pauses.standing() == (second,)
    assert len(world.audited()) == 2


async def test_the_same_ruling_again_is_one_entry(world: World):
    for _ in range(2):
        await world.pauses.pause(NOON + HOUR, ANN, "x", pause_id="p-1")
        await world.suppress("s-1")
        world.clock.advance(timedelta(seconds=1))
    assert sorted(str(entry["kind"]) for entry in world.audited()) == ["alertsSuppressed", "renewalsPaused"]


async def test_where_nothing_is_paused_there_is_nothing_to_resume(world: World):
    assert not await world.pauses.resume(ANN, "x")
    await world.pauses.pause(NOON + HOUR, ANN, "x", "site=bern")
    assert not await world.pauses.resume(ANN, "x"), "the fleet is not paused, a tag is"
    assert [entry["kind"] for entry in world.audited()] == ["renewalsPaused"]


async def test_a_suppression_that_does_not_stand_cannot_be_lifted(world: World):
    with pytest.raises(NotFound):
        await world.suppressions.lift("never", ANN, "x")
    suppressed = await world.suppress()
    await world.suppressions.lift(suppressed, ANN, "x")
    with pytest.raises(NotFound):
        await world.suppressions.lift(suppressed, ANN, "x")
    ended = await world.suppress()
    world.clock.advance(HOUR)
    with pytest.raises(NotFound):
        await world.suppressions.lift(ended, ANN, "x")
    assert [entry["kind"] for entry in world.audited()].count("suppressionLifted") == 1


async def test_of_two_who_lift_at_once_one_has_lifted(world: World):
    suppressed = await world.suppress()

    async def overtake() -> None:
        await world.suppressions.lift(suppressed, BOB, "mine")

    world.table.before_commit = overtake
    with pytest.raises(Conflict):
        await world.suppressions.lift(suppressed, ANN, "mine too")
    assert [entry["actor"] for entry in world.audited() if entry["kind"] == "suppressionLifted"] == ["bob"]


async def test_who_resumes_while_another_pauses_anew_does_not_end_what_they_did_not_see(world: World):
    await world.pauses.pause(NOON + HOUR, ANN, "x")

    async def overtake() -> None:
        await world.pauses.pause(NOON + 2 * HOUR, BOB, "longer")

    world.table.before_commit = overtake
    with pytest.raises(Conflict):
        await world.pauses.resume(ANN, "x")
    assert [pause.reason for pause in await world.pauses.standing()] == ["longer"]


async def test_there_is_an_end_to_how_many_pauses_may_stand_and_ended_ones_take_no_room(world: World):
    for number in range(MOST):
        await world.pauses.pause(NOON + HOUR, ANN, "x", f"site={number}")
    with pytest.raises(NotPossible, match="100 pauses"):
        await world.pauses.pause(NOON + HOUR, ANN, "x", "site=one more")
    await world.pauses.pause(NOON + 3 * HOUR, ANN, "longer", "site=0")
    await world.pauses.resume(ANN, "x", "site=1")
    await world.pauses.pause(NOON + HOUR, ANN, "x", "site=one more")
    assert len(await world.pauses.standing()) == MOST
    world.clock.advance(2 * HOUR)
    await world.pauses.pause(NOON + 3 * HOUR, ANN, "x", "site=last")
    assert {pause.tag for pause in await world.pauses.standing()} == {"site=0", "site=last"}
    assert len(world.table.keys("pause!")) == 2


async def test_rows_of_before_are_read_and_say_what_is_not_known(world: World):
    await world.pauses.pause(NOON + HOUR, ANN, "x")
    await world.suppress()
    for place, row in list(world.table.rows.items()):
        old = {name: value for name, value in row.values.items() if name not in ("ruledAt", "id")}
        if place[1].startswith("pause!"):
            world.table.rows[place] = type(row)(*place, {**old, "ruledAt": NOON}, row.etag)
        elif place[1].startswith("suppression!"):
            world.table.rows[place] = type(row)(*place, {**old, "id": "s-1"}, row.etag)
    [pause], [suppression] = await world.pauses.standing(), await world.suppressions.standing()
    assert (pause.id, suppression.id, suppression.ruled_at) == ("pause!~2a", "s-1", None)
