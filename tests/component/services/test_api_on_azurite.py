"""What the API stores, on a real table and real blobs: lists, keys and exports."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from support.fakes import NOON, FakeClock, FakeQueue

from shared.adapters.exports import BlobExports
from shared.adapters.table import AzureTable
from shared.domain.changes import Reduction
from shared.domain.history import HistoryEntry
from shared.domain.listing import EVERY_DEVICE, Filter
from shared.domain.operations import OperationKind, OperationState
from shared.domain.record import Actor, Certificate, DeviceRecord, Evidence, State
from shared.errors import InFlight, KeyReused
from shared.services.exporting import Exports, ExportWork
from shared.services.histories import Histories
from shared.services.idempotency import LEASE, LIFE, Claim, Idempotency, Remembered
from shared.services.listing import Listing
from shared.services.operation_rows import OperationRows
from shared.services.operations import Operations
from shared.services.store import FleetStore

ANN = Actor(name="ann", object_id="o-1", app_id="a-1")
SHARDS = 4
IDS = ["=1+1", "a#b", "dev-1", "dev-10", "dev-2", "ü".encode().hex(), "z!z"]


@pytest.fixture
async def table(storage: str, fresh_name: str) -> AsyncIterator[AzureTable]:
    table = AzureTable.from_connection_string(storage, fresh_name)
    yield table
    await table.close()


def record(device_id: str, place: int) -> DeviceRecord:
    certificate = Certificate(
        identity="aa",
        valid_from=NOON,
        valid_until=NOON + timedelta(days=place + 1),
        evidence=Evidence.VERIFIED,
        first_seen=NOON,
    )
    return DeviceRecord(
        device_id=device_id,
        registration_id=device_id,
        hub="h",
        first_seen=NOON,
        updated_at=NOON,
        state=State.VALID,
        tags={"site": "bern" if place % 2 else "zürich"},
        certificate=certificate,
    )


async def filled(table: AzureTable) -> None:
    for place, device_id in enumerate(IDS):
        entries = tuple(
            HistoryEntry(event_id=f"e{n}", at=NOON + timedelta(milliseconds=n), kind="renewalRequested", actor=ANN)
            for n in range(5)
        )
        reduction = Reduction(record(device_id, place), entries)
        await FleetStore(table, SHARDS).update([device_id], lambda _, __, r=reduction: r)


async def test_lists_and_histories_are_read_page_by_page(table: AzureTable):
    await filled(table)
    lists = Listing(table, FleetStore(table, SHARDS).partitions)
    first = await lists.page(4)
    second = await lists.page(4, first.cursor)
    assert [line.device_id for line in (*first.devices, *second.devices)] == IDS
    assert second.cursor is None
    in_bern = await lists.page(9, None, Filter(tag=("site", "bern"), expires_before=NOON + timedelta(days=5)))
    assert [line.device_id for line in in_bern.devices] == [IDS[1], IDS[3]]
    histories = Histories(table, SHARDS)
    newest = await histories.page("a#b", 3)
    oldest = await histories.page("a#b", 3, newest.cursor)
    assert [line.event_id for line in (*newest.lines, *oldest.lines)] == ["e4", "e3", "e2", "e1", "e0"]


async def test_a_key_is_claimed_answered_followed_and_forgotten(table: AzureTable):
    clock = FakeClock()
    keys = Idempotency(table, clock, iter(map(str, range(9))).__next__)
    died = await keys.claim("ann", "k", b"r")
    assert isinstance(died, Claim)
    with pytest.raises(InFlight):
        await keys.claim("ann", "k", b"r")
    clock.advance(LEASE)
    follower = await keys.claim("ann", "k", b"r")
    assert isinstance(follower, Claim)
    assert (follower.id, follower.at, follower.is_again) == (died.id, died.at, True)
    answer = Remembered(status=202, headers={"Location": "/x"}, media_type="application/json", body="ä" * 70_000)
    await keys.remember(follower, answer)
    await keys.remember(died, answer)  # too late, and of no consequence
    assert await keys.claim("ann", "k", b"r") == answer
    with pytest.raises(KeyReused):
        await keys.claim("ann", "k", b"other")
    clock.advance(LIFE)
    assert await keys.prune() == 1
    assert isinstance(await keys.claim("ann", "k", b"other"), Claim)


async def test_an_export_is_written_and_read(table: AzureTable, storage: str, fresh_name: str):
    await filled(table)
    files = BlobExports.from_connection_string(storage, fresh_name)
    work = ExportWork(Listing(table, FleetStore(table, SHARDS).partitions), files, rows=3)
    operations = Operations(OperationRows(table), FakeQueue(), {OperationKind.EXPORT: work}, FakeClock())
    exports = Exports(table, operations, files, timedelta(days=7), FakeClock())
    begun = await exports.start(EVERY_DEVICE, ANN, "audit")
    ended = await operations.step({"operationId": begun.id})
    assert ended is not None
    assert (ended.state, ended.done) == (OperationState.DONE, len(IDS))
    size = int(ended.result["bytes"])
    pieces = [await exports.read(begun.id, at, 100) for at in range(0, size, 100)]
    text = b"".join(piece.content for piece in pieces).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["deviceId"].removeprefix("'") for row in rows] == IDS
    await files.close()
