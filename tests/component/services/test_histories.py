"""A device's history, page by page, and nobody else's."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.fakes import NOON, FakeTable

from shared.domain.changes import Reduction
from shared.domain.history import HistoryEntry
from shared.domain.record import Actor, DeviceRecord
from shared.errors import NotFound
from shared.services.histories import Histories
from shared.services.store import FleetStore

SHARDS = 2
ANN = Actor(name="ann", object_id="o-1", app_id="a-1")


async def happened(table: FakeTable, device_id: str, count: int) -> None:
    record = DeviceRecord(
        device_id=device_id, registration_id=device_id, hub="h", first_seen=NOON, updated_at=NOON, reason=""
    )
    for n in range(count):
        at = NOON + timedelta(seconds=n // 2)  # two in each second
        entry = HistoryEntry(
            event_id=f"e{n}", at=at, kind="renewalRequested", actor=ANN, reason=f"r{n}", details={"n": str(n)}
        )
        await FleetStore(table, SHARDS).update([device_id], lambda _, __, e=entry: Reduction(record, (e,)))


async def test_pages_hold_every_change_once_the_newest_first():
    table = FakeTable()
    for device_id in ("dev", "dev!", "dev-1"):
        await happened(table, device_id, 7)
    histories, cursor, seen = Histories(table, SHARDS), None, []
    while True:
        page = await histories.page("dev", 3, cursor)
        assert len(page.lines) <= 3
        seen += page.lines
        if (cursor := page.cursor) is None:
            break
    assert sorted(line.reason for line in seen) == [f"r{n}" for n in range(7)]
    assert [line.at for line in seen] == sorted((line.at for line in seen), reverse=True)
    assert (seen[0].actor, seen[0].details, seen[0].event_id) == (ANN, {"n": "6"}, "e6")


async def test_a_page_that_ends_with_the_history_has_no_cursor():
    table = FakeTable()
    await happened(table, "dev", 3)
    assert (await Histories(table, SHARDS).page("dev", 3)).cursor is None


async def test_a_device_that_is_not_known_has_no_history():
    with pytest.raises(NotFound):
        await Histories(FakeTable(), SHARDS).page("dev", 3)
