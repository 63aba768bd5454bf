"""The audit's writer: every change once, in one unbroken chain, whoever dies and whoever else writes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.audit_log import FakeAuditLog
from support.fakes import NOON, FakeClock, FakeTable

from shared.domain.audit import CONTINUES, GENESIS, Head, Line
from shared.domain.history import HistoryEntry
from shared.domain.keys import FLEET_PARTITION, audit_key, shard_names, shard_of
from shared.domain.record import Actor, DeviceRecord
from shared.errors import Conflict, InfrastructureFault
from shared.services import auditing
from shared.services.auditing import AuditBroken, Auditing
from shared.services.ports import Row
from shared.services.rows import Change, ruling_write, writes

SHARDS = 4


class World:
    """A table, a log and a writer; `writer()` is another process."""

    def __init__(self) -> None:
        self.table, self.log, self.clock = FakeTable(), FakeAuditLog(), FakeClock()
        self.auditing = self.writer()

    def writer(self) -> Auditing:
        return Auditing(self.table, self.log, (FLEET_PARTITION, *shard_names(SHARDS)), self.clock)

    def change(self, number: int, at: datetime = NOON, device_id: str | None = None) -> None:
        """A change waits in the table."""
        device = device_id or f"dev-{number % 7}"
        shard, key = shard_of(device, SHARDS), audit_key(device, at, f"e/{number}")
        values = {"deviceId": device, "eventId": f"e/{number}", "at": at, "details": '{"after":"x"}'}
        self.table.rows[shard, key] = Row(shard, key, values, "etag")

    def ruling(self, number: int, at: datetime = NOON) -> None:
        """A ruling for the whole fleet waits beside it."""
        row = ruling_write(HistoryEntry(event_id=f"e/{number}", at=at, kind="renewalsPaused")).row
        self.table.rows[row.partition, row.key] = row

    def lines(self) -> list[Line]:
        """The chain, checked: a blob's last line names the next blob, and no other line does."""
        head, found, names = Head(), [], sorted(self.log.blobs)
        for name, following in zip_longest(names, names[1:]):
            lines = [Line.from_json(raw) for block in self.log.blobs[name] for raw in block.splitlines()]
            assert [line.next_blob for line in lines if line.next_blob] == ([following] if following else [])
            assert not following or lines[-1].next_blob
            for line in lines:
                assert line.fault_after(head) is None
                head = line.head
            found.extend(lines)
        return found

    def events(self) -> list[str]:
        return [line.entry["eventId"] for line in self.lines() if line.entry.get("kind") != CONTINUES]


@pytest.fixture
def world() -> World:
    return World()


async def test_a_change_leaves_the_table_for_the_chain(world: World):
    world.change(1)
    outcome = await world.auditing.append()
    (line,) = world.lines()
    assert (line.seq, line.previous) == (1, GENESIS)
    assert line.entry["eventId"] == "e/1"
    assert line.entry["details"] == {"after": "x"}
    assert line.entry["at"] == "2026-11-23T12:00:00.000000Z"
    assert (outcome.appended, outcome.more, outcome.oldest) == (1, False, NOON)
    assert world.table.rows == {}
    assert list(world.log.blobs) == ["2026-11-23.0001.jsonl"]


def test_every_history_entry_waits_for_the_audit_in_the_records_own_transaction():
    record = DeviceRecord(device_id="dev-1", registration_id="dev-1", hub="hub-1", first_seen=NOON, updated_at=NOON)
    entry = HistoryEntry(event_id="e/1", at=NOON, kind="registered", actor=Actor(name="ann"), details={"a": "b"})
    rows = [write.row for write in writes("s00", Change(None, record, (entry,)))]
    (history,) = [row for row in rows if row.key.startswith("history!")]
    (audit,) = [row for row in rows if row.key.startswith("audit!20261123T120000000!")]
    assert audit.values == history.values


async def test_changes_of_all_shards_are_appended_in_the_order_of_their_time(world: World):
    for number in (5, 3, 1, 4, 2, 0):
        world.change(number, NOON + timedelta(milliseconds=number))
    await world.auditing.append()
    assert world.events() == [f"e/{n}" for n in range(6)]


async def test_what_was_ruled_for_the_fleet_stands_in_its_place_among_the_changes_and_names_no_device(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(auditing, "ROWS_A_SHARD", 2)
    for number in range(40):
        add = world.ruling if number % 3 == 0 else world.change
        add(number, NOON + timedelta(milliseconds=number))
    while (await world.auditing.append()).more:
        pass
    assert world.events() == [f"e/{n}" for n in range(40)]
    assert world.table.rows == {}
    ruled = [line.entry for line in world.lines() if line.entry["row"].startswith("fleet/audit!")]
    assert (len(ruled), {"deviceId" in entry for entry in ruled}) == (14, {False})


async def test_a_ruling_whose_row_could_not_be_removed_is_not_written_twice(world: World):
    world.ruling(1)
    world.table.faults = [InfrastructureFault("table", "down")]
    with pytest.raises(InfrastructureFault):
        await world.auditing.append()
    await world.writer().append()
    assert (world.events(), world.table.rows) == (["e/1"], {})


async def test_more_than_a_step_holds_is_moved_in_order_too(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(auditing, "ROWS_A_SHARD", 2)
    monkeypatch.setattr(auditing, "LINES_A_STEP", 5)
    for number in range(60):
        world.change(number, NOON + timedelta(milliseconds=number))
    outcome = await world.auditing.append()
    while outcome.more:
        outcome = await world.auditing.append()
    assert world.events() == [f"e/{n}" for n in range(60)]
    assert world.table.rows == {}


async def test_a_run_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(auditing, "STEPS", 3)
    monkeypatch.setattr(auditing, "LINES_A_STEP", 2)
    for number in range(10):
        world.change(number, NOON + timedelta(milliseconds=number))
    outcome = await world.auditing.append()
    assert (outcome.appended, outcome.more) == (6, True)


async def test_a_block_has_a_bounded_size_and_a_big_entry_passes_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(auditing, "BLOCK_BYTES", 10)
    world.change(1)
    world.change(2)
    await world.auditing.append()
    assert [len(block.splitlines()) for block in world.log.blobs["2026-11-23.0001.jsonl"]] == [1, 1]
    assert len(world.events()) == 2


async def test_without_changes_no_blob_is_made(world: World):
    await world.auditing.append()
    assert world.log.blobs == {}


async def test_the_next_day_has_a_blob_of_its_own_that_carries_the_chain_on(world: World):
    world.change(1)
    await world.auditing.append()
    world.clock.advance(timedelta(days=1))
    await world.auditing.append()
    assert len(world.log.blobs) == 1, "a day without changes has no blob"
    world.change(2, NOON + timedelta(days=1))
    await world.auditing.append()
    assert sorted(world.log.blobs) == ["2026-11-23.0001.jsonl", "2026-11-24.0001.jsonl"]
    last, first = world.lines()[1:]
    assert last.entry["next"] == "2026-11-24.0001.jsonl"
    assert first.previous == last.hash
    assert world.events() == ["e/1", "e/2"]


@pytest.mark.parametrize(("limit", "value"), [("MAX_BLOCKS", 2), ("MAX_BYTES", 300)])
async def test_a_full_blob_is_followed_by_another_of_the_same_day(
    world: World, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
):
    monkeypatch.setattr(auditing, limit, value)
    for number in range(1, 4):
        world.change(number, NOON + timedelta(seconds=number))
        await world.auditing.append()
    assert sorted(world.log.blobs)[:2] == ["2026-11-23.0001.jsonl", "2026-11-23.0002.jsonl"]
    assert all(len(blocks) <= 3 for blocks in world.log.blobs.values())
    assert world.events() == ["e/1", "e/2", "e/3"]


async def test_a_clock_that_was_set_back_does_not_take_the_chain_back(world: World):
    world.change(1)
    await world.auditing.append()
    world.clock.advance(-timedelta(days=3))
    world.change(2)
    await world.auditing.append()
    assert list(world.log.blobs) == ["2026-11-23.0001.jsonl"]
    assert world.events() == ["e/1", "e/2"]


async def test_a_line_whose_row_could_not_be_removed_is_not_written_twice(world: World):
    world.change(1)
    world.table.faults = [InfrastructureFault("table", "down")]
    with pytest.raises(InfrastructureFault):
        await world.auditing.append()
    world.change(2, NOON - timedelta(hours=1))  # a late one sorts before what is left
    for writer in (world.auditing, world.writer()):
        await writer.append()
    assert world.events() == ["e/1", "e/2"]
    assert world.table.rows == {}


async def test_an_append_whose_answer_was_lost_is_not_repeated(world: World):
    world.change(1)
    world.log.after_append = [InfrastructureFault("blob", "timeout")]
    with pytest.raises(InfrastructureFault):
        await world.auditing.append()
    await world.auditing.append()
    assert world.events() == ["e/1"]


async def test_of_two_writers_one_is_turned_away_and_goes_on_behind_the_other(world: World):
    other = world.writer()
    for number, writer in enumerate((world.auditing, other, world.auditing, other)):
        world.change(number, NOON + timedelta(seconds=number))
        while (await writer.append()).more:
            pass
    assert world.events() == ["e/0", "e/1", "e/2", "e/3"]


async def test_a_writer_that_slept_cannot_append_to_a_blob_that_the_chain_has_left(world: World):
    sleeper = world.writer()
    world.change(1)
    await sleeper.append()
    world.clock.advance(timedelta(days=1))
    world.change(2)
    await world.auditing.append()
    world.clock.advance(-timedelta(days=1))  # the sleeper still believes in yesterday
    world.change(3)
    while (await sleeper.append()).more:
        pass
    assert world.events() == ["e/1", "e/2", "e/3"]


async def test_who_dies_between_two_blobs_leaves_a_chain_that_can_go_on(world: World):
    world.change(1)
    await world.auditing.append()
    world.clock.advance(timedelta(days=1))
    world.change(2)
    world.log.after_append = [InfrastructureFault("blob", "died")]  # behind the line that names the next blob
    with pytest.raises(InfrastructureFault):
        await world.auditing.append()
    await world.writer().append()
    assert world.events() == ["e/1", "e/2"]


async def test_who_dies_behind_an_empty_blob_leaves_a_chain_that_can_go_on(world: World):
    world.change(1)
    await world.auditing.append()
    world.clock.advance(timedelta(days=1))
    world.change(2)
    create = world.log.create

    async def die(name: str) -> None:
        await create(name)
        raise InfrastructureFault("blob", "died")

    world.log.create = die  # type: ignore[method-assign]
    with pytest.raises(InfrastructureFault):
        await world.auditing.append()
    world.log.create = create  # type: ignore[method-assign]
    await world.writer().append()
    assert world.events() == ["e/1", "e/2"]


async def test_a_foreign_line_at_the_end_stops_the_writer_and_loses_nothing(world: World):
    world.change(1)
    await world.auditing.append()
    (name,) = world.log.blobs
    world.log.blobs[name].append(b'{"forged":true}\n')
    world.change(2)
    with pytest.raises(AuditBroken, match="not ours"):
        await world.writer().append()
    assert len(world.table.rows) == 1


async def test_a_line_that_was_rehashed_wrongly_stops_the_writer(world: World):
    line = Line(1, GENESIS, "0" * 64, {"a": 1})
    world.log.blobs["2026-11-23.0001.jsonl"] = [line.to_json() + b"\n"]
    with pytest.raises(AuditBroken, match="line 1"):
        await world.auditing.append()


async def test_details_that_cannot_be_read_are_kept_as_they_are(world: World):
    world.change(1)
    (place,) = world.table.rows
    row = world.table.rows[place]
    world.table.rows[place] = Row(row.partition, row.key, {**row.values, "details": "{half"}, "e")
    await world.auditing.append()
    assert world.lines()[0].entry["details"] == "{half"


FAULTS = st.lists(st.sampled_from(["append", "answer", "delete", "scan", "another", None]), max_size=25)


@settings(deadline=None)  # a busy machine is no failure
@given(FAULTS)
def test_whatever_fails_every_change_is_in_the_chain_once(faults: list[str | None]):
    asyncio.run(_survive(faults))


async def _survive(faults: list[str | None]) -> None:
    world = World()
    writers = [world.auditing, world.writer()]
    for number, fault in enumerate(faults):
        world.change(number, NOON + timedelta(milliseconds=number * 37 % 11))
        if number % 5 == 4:
            world.clock.advance(timedelta(hours=9))
        await _with_fault(world, writers, fault)
    for writer in (*writers, world.writer()):
        while (await writer.append()).more:
            pass
    assert sorted(world.events()) == sorted(f"e/{n}" for n in range(len(faults)))
    assert world.table.rows == {}


async def _with_fault(world: World, writers: list[Any], fault: str | None) -> None:
    broken = InfrastructureFault("x", "down")
    world.log.down = fault == "append"
    world.log.after_append = [broken] if fault == "answer" else []
    world.table.faults = [broken] if fault == "delete" else []
    if fault == "another":
        writers.reverse()
    with contextlib.suppress(InfrastructureFault, Conflict):
        await writers[0].append()
    world.log.down, world.log.after_append, world.table.faults = False, [], []


def test_a_line_is_read_in_its_canonical_form_only():
    line = Line.after(Head(), {"b": "ü", "a": 1})
    assert Line.from_json(line.to_json()) == line
    for other in (json.dumps(json.loads(line.to_json())).encode(), b"[]", b"{}", b"1", b"{"):
        with pytest.raises(ValueError, match=r"canonical|no line|JSON|Expecting"):
            Line.from_json(other)


def test_a_changed_line_is_told_from_a_missing_and_a_foreign_one():
    first = Line.after(Head(), {"a": 1})
    second = Line.after(first.head, {"a": 2})
    assert second.fault_after(first.head) is None
    assert "line 1 is expected" in str(second.fault_after(Head()))
    assert "the line before it" in str(second.fault_after(Head(1, GENESIS)))
    assert "its hash" in str(Line(2, first.hash, second.hash, {"a": 3}).fault_after(first.head))
