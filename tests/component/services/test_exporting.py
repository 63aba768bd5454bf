"""Exports: the whole list, in bounded steps at any size, whoever dies in between."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.exports import FakeExports
from support.fakes import NOON, FakeClock, FakeQueue, FakeTable
from support.paged_table import PagedTable

from shared.contracts import format_instant
from shared.domain import keys
from shared.domain.listing import EVERY_DEVICE, Filter
from shared.domain.operations import Operation, OperationKind, OperationState
from shared.domain.record import Actor, State
from shared.errors import InfrastructureFault, NotFound, NotPossible
from shared.services.exporting import BLOCK_CHARACTERS, ROWS, Exports, ExportWork, file_of
from shared.services.listing import Listing
from shared.services.operation_rows import OperationRows
from shared.services.operations import Operations
from shared.services.ports import Row, Value

ANN = Actor(name="ann")
SHARDS = keys.shard_names(4)
WEEK = timedelta(days=7)


class World:
    """Exports of a table with a few devices, three a unit."""

    def __init__(self, devices: int = 10, rows: int = 3) -> None:
        self.table, self.files, self.queue, self.clock = FakeTable(), FakeExports(), FakeQueue(), FakeClock()
        for number in range(devices):
            self.put(f"d{number:02d}", number)
        work = ExportWork(Listing(self.table, SHARDS), self.files, rows)
        handlers = {OperationKind.EXPORT: work, OperationKind.BULK_RENEW: work}
        self.operations = Operations(OperationRows(self.table), self.queue, handlers, self.clock)
        self.exports = Exports(self.table, self.operations, self.files, WEEK, self.clock)

    def put(self, device_id: str, days: int, **values: Value) -> None:
        ends = NOON + timedelta(days=days)
        held: dict[str, Value] = {"deviceId": device_id, "state": "valid", "reason": "", "hub": "h"}
        place = keys.shard_of(device_id, 4), keys.expires_key(ends, device_id)
        self.table.rows[place] = Row(*place, {**held, "validUntil": format_instant(ends), **values})

    async def run(self, operation: Operation) -> Operation:
        """Steps until it ends, as the queue would."""
        while operation.is_running:
            stepped = await self.operations.step({"operationId": operation.id})
            operation = stepped or await self.operations.show(operation.id)
            self.clock.advance(timedelta(minutes=1))
        return operation

    def exported(self, operation: Operation) -> list[str]:
        text = self.files.files[file_of(operation)].decode()
        return [row["deviceId"] for row in csv.DictReader(io.StringIO(text, newline=""))]


async def test_an_export_holds_every_device_once_in_the_order_of_time_left():
    world = World(10)
    ended = await world.run(await world.exports.start(EVERY_DEVICE, ANN, "audit"))
    assert (ended.state, ended.done, ended.total) == (OperationState.DONE, 10, 10)
    assert world.exported(ended) == [f"d{n:02d}" for n in range(10)]
    size = len(world.files.files[file_of(ended)])
    assert ended.result == {"blob": f"exports/{ended.id}.csv", "rows": "10", "bytes": str(size)}
    assert len(world.files.staged) == 4  # three, three, three, one


async def test_an_export_of_nothing_is_a_line_of_names():
    world = World(0)
    ended = await world.run(await world.exports.start(EVERY_DEVICE, ANN, "audit"))
    assert (ended.state, world.exported(ended)) == (OperationState.DONE, [])


async def test_an_export_holds_what_fits_its_filter():
    world = World(10)
    world.put("odd", 4, state="due")
    wanted = Filter(expires_after=NOON + timedelta(days=3), states=frozenset({State.DUE}))
    begun = await world.exports.start(wanted, ANN, "audit")
    assert Filter.from_parameters(begun.parameters) == wanted
    ended = await world.run(begun)
    assert world.exported(ended) == ["odd"]
    assert (ended.done, ended.result["rows"]) == (8, "1")


@pytest.mark.parametrize("crash_at", range(5))
async def test_a_unit_that_dies_anywhere_is_made_again_and_mixes_nothing(crash_at: int):
    world = World(10)
    operation = await world.exports.start(EVERY_DEVICE, ANN, "audit")
    world.files.faults = [*[None] * crash_at, InfrastructureFault("blobs", "down")]
    ended = await world.run(operation)
    assert world.exported(ended) == [f"d{n:02d}" for n in range(10)]


async def test_two_who_make_the_same_unit_of_a_fleet_that_moves_leave_no_gap_and_no_double():
    world = World(10)
    begun = await world.exports.start(EVERY_DEVICE, ANN, "audit")
    work = ExportWork(Listing(world.table, SHARDS), world.files, 3)
    first = (await work.advance(begun)).operation
    world.put("d00b", 0)  # the fleet has changed when the slower of the two stages its block
    slower = (await work.advance(begun)).operation
    assert slower.cursor != first.cursor
    while first.is_running:
        first = (await work.advance(first)).operation
    assert world.exported(first) == [f"d{n:02d}" for n in range(10)]


async def test_what_a_cancelled_export_has_staged_is_dropped():
    world = World(10)
    begun = await world.exports.start(EVERY_DEVICE, ANN, "audit")
    await ExportWork(Listing(world.table, SHARDS), world.files, 3).advance(begun)
    await world.operations.cancel(begun.id, ANN, "enough")
    ended = await world.run(begun)
    assert (ended.state, world.files.files, world.files.blocks) == (OperationState.CANCELLED, {}, {})
    with pytest.raises(NotPossible, match="cancelled"):
        await world.exports.read(ended.id, 0, 10)


async def test_a_file_is_read_in_pieces_until_it_is_old():
    world = World(10)
    begun = await world.exports.start(EVERY_DEVICE, ANN, "audit")
    with pytest.raises(NotPossible, match="running"):
        await world.exports.read(begun.id, 0, 10)
    ended = await world.run(begun)
    whole = world.files.files[file_of(ended)]
    pieces = [await world.exports.read(ended.id, at, 100) for at in range(0, len(whole), 100)]
    assert b"".join(piece.content for piece in pieces) == whole
    assert await world.exports.prune() == 0
    world.clock.advance(WEEK)
    assert await world.exports.prune() == 1
    with pytest.raises(NotFound):
        await world.exports.read(ended.id, 0, 10)


async def test_only_an_export_has_a_file():
    world = World()
    other = await world.operations.start(OperationKind.BULK_RENEW, ANN, "x")
    with pytest.raises(NotPossible, match="bulk-renew"):
        await world.exports.read(other.id, 0, 10)
    with pytest.raises(NotFound):
        await world.exports.read("nothing", 0, 10)


def fleet(devices: int, **values: Value) -> PagedTable:
    """So many devices over sixteen shards, which share all but their keys."""
    table = PagedTable()
    shared: dict[str, Value] = {"deviceId": "d", "state": "valid", "reason": "CertificateCurrent", "hub": "h", **values}
    names = keys.shard_names(16)
    for place, name in enumerate(names):
        rows = [(keys.expires_key(NOON + timedelta(seconds=n), f"d{n}"), shared) for n in range(place, devices, 16)]
        table.put_in_bulk(name, rows)
    return table


def begun() -> Operation:
    return Operation(
        id="0", kind=OperationKind.EXPORT, actor=ANN, reason="x", created_at=NOON, updated_at=NOON, resume_at=NOON
    )


async def units(table: PagedTable, operation: Operation, most: int) -> tuple[Operation, list[Any], FakeExports]:
    """At most so many units, and what each asked of the table."""
    files = FakeExports()
    work = ExportWork(Listing(table, keys.shard_names(16)), files)
    asked = []
    for _ in range(most):
        table.reset()
        operation = (await work.advance(operation)).operation
        asked.append(table.reset())
        if not operation.is_running:
            break
    return operation, asked, files


async def test_an_exports_units_cost_the_same_at_a_million_devices_and_never_hold_more_than_one_block():
    small, large = fleet(4 * ROWS), fleet(1_000_000)
    _, few, _ = await units(small, begun(), 2)
    operation, many, files = await units(large, begun(), 2)
    assert many == few
    assert max(unit.requests for unit in many) <= 64
    assert max(unit.entities for unit in many) <= 2 * ROWS
    assert max(files.staged) <= 2**22
    assert operation.done == 2 * ROWS
    # the last of the million: as cheap as the first
    late = keys.expires_key(NOON + timedelta(seconds=1_000_000 - ROWS - 1), f"d{1_000_000 - ROWS - 1}")
    behind = replace(begun(), cursor=operation.cursor.replace(operation.cursor.split('"')[3], late))
    files_of_all = FakeExports(blocks={"0.csv": files.blocks["0.csv"]})
    last = await ExportWork(Listing(large, keys.shard_names(16)), files_of_all).advance(behind)
    assert (last.operation.state, last.operation.done) == (OperationState.DONE, ROWS)


async def test_devices_with_many_tags_make_shorter_units():
    table = fleet(ROWS, tags='{"a":"' + "x" * 4000 + '"}')
    operation, _, files = await units(table, begun(), 1)
    assert operation.is_running
    assert max(files.staged) <= 1.2 * BLOCK_CHARACTERS
