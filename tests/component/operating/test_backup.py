"""Backups of the fleet's table on Azurite: what comes back is what was there, whatever interrupts whom."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import EdmType, EntityProperty, TableClient
from support.fakes import NOON

from fleetcert.operating import whole_devices
from fleetcert.operating.backup import BackupFailed, back_up, check_backup
from fleetcert.operating.restore import RestoreFailed, restore
from shared.adapters.table import AzureTable
from shared.clock import SystemClock
from shared.domain import keys
from shared.domain.history import HistoryEntry
from shared.domain.record import Actor, Certificate, DeviceRecord, Evidence, State
from shared.services.pauses import Pauses
from shared.services.rows import Change
from shared.services.store import FleetStore

SHARDS = 4
type Rows = dict[tuple[str, str], dict[str, Any]]


def silent(_: str, __: int) -> None:
    """No progress is shown."""


@pytest.fixture
def table(storage: str, fresh_name: str) -> TableClient:
    """A fleet's table with twenty devices."""
    client = TableClient.from_connection_string(storage, fresh_name)
    asyncio.run(_write(storage, fresh_name, [device(n) for n in range(20)]))
    return client


@pytest.fixture
def other(storage: str, fresh_name: str) -> TableClient:
    """A table that does not exist yet."""
    return TableClient.from_connection_string(storage, f"{fresh_name}b")


def device(number: int) -> DeviceRecord:
    identity = f"dev {number}"  # with a blank, which keys escape
    certificate = Certificate(
        identity=identity,
        valid_from=NOON,
        valid_until=NOON + timedelta(days=30, seconds=number),
        evidence=Evidence.REPORTED,
        first_seen=NOON,
    )
    return DeviceRecord(
        device_id=identity,
        registration_id=identity,
        hub="hub-1",
        first_seen=NOON,
        updated_at=NOON,
        state=State.VALID,
        certificate=certificate,
        next_deadline=NOON + timedelta(days=20, seconds=number),
    )


async def _write(storage: str, name: str, records: list[DeviceRecord]) -> None:
    adapter = AzureTable.from_connection_string(storage, name)
    store = FleetStore(adapter, SHARDS)
    await store.check_layout()
    known = await store.load_many([record.device_id for record in records])
    changes = [
        Change(known.get(r.device_id), r, (HistoryEntry(event_id=f"e/{r.device_id}", at=NOON, kind="registered"),))
        for r in records
    ]
    await store.write(changes)
    await adapter.close()


def rows_of(table: TableClient) -> Rows:
    return {(row["PartitionKey"], row["RowKey"]): dict(row) for row in table.list_entities()}


def cut(after: str, rows: int = 0) -> Callable[[str, int], None]:
    """Progress that is interrupted."""

    def progress(what: str, count: int) -> None:
        if what == after and count >= rows:
            raise KeyboardInterrupt

    return progress


def test_what_was_backed_up_comes_back(table: TableClient, other: TableClient, tmp_path: Path):
    told = []
    tally = back_up(table, tmp_path / "b.gz", lambda partition, rows: told.append((partition, rows)))
    assert tally.rows == len(rows_of(table)) == sum(rows for _, rows in told) == 101  # 20 x 5, and the layout
    restore(other, tmp_path / "b.gz", silent)
    assert rows_of(other) == rows_of(table)
    assert not (tmp_path / "b.gz.parts").exists()


def test_every_type_of_value_comes_back_as_it_was(table: TableClient, other: TableClient, tmp_path: Path):
    values: dict[str, Any] = {
        "text": 'a "text" with ü\n',
        "empty": "",
        "small": -7,
        "big": EntityProperty(2**40, EdmType.INT64),
        "flag": False,
        "instant": datetime(2026, 11, 23, 12, 0, 0, 123456, UTC),
    }
    table.upsert_entity({"PartitionKey": "s01", "RowKey": "seen!x", **values})
    back_up(table, tmp_path / "b.gz", silent)
    restore(other, tmp_path / "b.gz", silent)
    row = other.get_entity("s01", "seen!x")
    assert {name: row[name] for name in values} == values


def test_what_was_ruled_and_has_yet_to_be_audited_comes_back_too(
    table: TableClient, other: TableClient, storage: str, tmp_path: Path
):
    async def rule() -> None:
        adapter = AzureTable.from_connection_string(storage, table.table_name)
        ann = Actor(name="ann", object_id="o-1")
        await Pauses(adapter, SystemClock()).pause(datetime.now(UTC) + timedelta(hours=1), ann, "DPS is down")
        await adapter.close()

    asyncio.run(rule())
    back_up(table, tmp_path / "b.gz", silent)
    restore(other, tmp_path / "b.gz", silent)
    ruled = {key: row for key, row in rows_of(other).items() if key[0] == "fleet" and "actor" in row}
    assert ruled == {key: row for key, row in rows_of(table).items() if key in ruled}
    assert sorted(key.partition("!")[0] for _, key in ruled) == ["audit", "pause"]


def test_a_device_that_changes_meanwhile_is_backed_up_whole(
    table: TableClient, other: TableClient, storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    moved = replace(device(3), next_deadline=NOON + timedelta(days=1), state=State.DUE)
    created, retired = device(99), replace(device(4), state=State.RETIRED, next_deadline=None)
    shards = {keys.shard_of(record.device_id, SHARDS) for record in (moved, created, retired)}
    read = whole_devices._rows

    def change_behind_the_records(client: TableClient, partition: str, part: Any, select: Any = None) -> Any:
        if part[0] == "due!" and partition in shards:
            asyncio.run(_write(storage, client.table_name, [r for r in (moved, created, retired) if _in(r, partition)]))
            shards.discard(partition)
        return read(client, partition, part, select)

    monkeypatch.setattr(whole_devices, "_rows", change_behind_the_records)
    back_up(table, tmp_path / "b.gz", silent)
    restore(other, tmp_path / "b.gz", silent)
    live, back = rows_of(table), rows_of(other)
    assert {k: v for k, v in back.items() if not k[1].startswith("audit!")} == {
        k: v for k, v in live.items() if not k[1].startswith("audit!")
    }
    assert live.keys() - back.keys() <= {k for k in live if k[1].startswith("audit!")}


def _in(record: DeviceRecord, partition: str) -> bool:
    return keys.shard_of(record.device_id, SHARDS) == partition


def test_a_backup_that_was_cut_short_goes_on_with_the_partition_that_it_was_at(
    table: TableClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "b.gz"
    with pytest.raises(KeyboardInterrupt):
        back_up(table, out, cut("s01"))
    assert not out.exists()
    read: list[str] = []
    rows = whole_devices._rows

    def noted(client: TableClient, partition: str, *others: Any, **more: Any) -> Any:
        read.append(partition)
        return rows(client, partition, *others, **more)

    monkeypatch.setattr(whole_devices, "_rows", noted)
    tally = back_up(table, out, silent)
    assert set(read) == {"s02", "s03"}
    assert check_backup(out)[1] == tally
    assert tally.rows == 101


def test_parts_of_another_tables_backup_are_not_gone_on_with(table: TableClient, storage: str, tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        back_up(table, tmp_path / "b.gz", cut("s01"))
    name = f"{table.table_name}c"
    asyncio.run(_write(storage, name, [device(1)]))
    with pytest.raises(BackupFailed, match="another table"):
        back_up(TableClient.from_connection_string(storage, name), tmp_path / "b.gz", silent)


def test_a_table_that_is_no_fleets_is_not_backed_up(other: TableClient, tmp_path: Path):
    other.create_table()
    with pytest.raises(BackupFailed, match="number of shards"):
        back_up(other, tmp_path / "b.gz", silent)


@pytest.mark.parametrize("forced", [False, True])
def test_a_restore_that_was_cut_short_goes_on(table: TableClient, other: TableClient, tmp_path: Path, forced: bool):
    back_up(table, tmp_path / "b.gz", silent)
    told: list[int] = []

    def interrupt(what: str, rows: int) -> None:
        told.append(rows)
        if what == "restored":
            raise KeyboardInterrupt

    monkey = pytest.MonkeyPatch()
    monkey.setattr("fleetcert.operating.restore._AT_ONCE", 2)
    monkey.setattr("fleetcert.operating.restore._TRANSACTION_ROWS", 10)
    with pytest.raises(KeyboardInterrupt):
        restore(other, tmp_path / "b.gz", interrupt, force=forced)
    restored = told[-1]
    assert 0 < restored < 101
    told.clear()
    restore(other, tmp_path / "b.gz", lambda what, rows: told.append(rows), force=forced)
    monkey.undo()
    assert told[0] > restored, "what was back already is not written again"
    assert rows_of(other) == rows_of(table)


def test_while_one_backup_is_being_restored_another_is_refused(table: TableClient, other: TableClient, tmp_path: Path):
    back_up(table, tmp_path / "a.gz", silent)
    table.upsert_entity({"PartitionKey": "s01", "RowKey": "seen!x", "a": 1})
    back_up(table, tmp_path / "b.gz", silent)
    with pytest.raises(KeyboardInterrupt):
        restore(other, tmp_path / "a.gz", cut("restored"))
    with pytest.raises(RestoreFailed, match="another backup"):
        restore(other, tmp_path / "b.gz", silent)
    restore(other, tmp_path / "b.gz", silent, force=True)
    assert rows_of(other) == rows_of(table)


def test_a_table_that_holds_devices_is_not_touched_without_force(table: TableClient, storage: str, tmp_path: Path):
    back_up(table, tmp_path / "b.gz", silent)
    before = rows_of(table)
    asyncio.run(_write(storage, table.table_name, [device(50)]))
    changed = rows_of(table)
    with pytest.raises(RestoreFailed, match="not empty"):
        restore(table, tmp_path / "b.gz", silent)
    assert rows_of(table) == changed
    restore(table, tmp_path / "b.gz", silent, force=True)
    assert rows_of(table) == before


def test_what_an_app_without_devices_has_written_is_no_obstacle(
    table: TableClient, other: TableClient, storage: str, tmp_path: Path
):
    back_up(table, tmp_path / "b.gz", silent)
    asyncio.run(_write(storage, other.table_name, []))
    other.upsert_entity({"PartitionKey": "fleet", "RowKey": "cursor!prune", "after": ""})
    restore(other, tmp_path / "b.gz", silent)
    assert rows_of(other) == rows_of(table)


@pytest.mark.parametrize("force", [False, True])
def test_a_table_with_another_number_of_shards_is_refused(
    table: TableClient, other: TableClient, tmp_path: Path, force: bool
):
    back_up(table, tmp_path / "b.gz", silent)
    other.create_table()
    other.upsert_entity({"PartitionKey": "fleet", "RowKey": keys.setting_key("shards"), "value": 8})
    with pytest.raises(RestoreFailed, match="8 shards and the backup with 4"):
        restore(other, tmp_path / "b.gz", silent, force=force)


def test_a_restore_that_does_not_come_out_right_says_where(table: TableClient, other: TableClient, tmp_path: Path):
    back_up(table, tmp_path / "b.gz", silent)

    def meddle(what: str, rows: int) -> None:
        if what == "restored" and rows == 101:
            other.upsert_entity({"PartitionKey": "s02", "RowKey": "seen!x", "a": 1})

    with pytest.raises(RestoreFailed, match="in s02: is the app stopped"):
        restore(other, tmp_path / "b.gz", meddle)
    restore(other, tmp_path / "b.gz", silent, force=True)
    assert rows_of(other) == rows_of(table)


def _cut_in_half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _without_the_end(content: bytes) -> bytes:
    return gzip.compress(b"".join(gzip.decompress(content).splitlines(keepends=True)[:-1]))


def _with_a_changed_row(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content).replace(b"hub-1", b"hub-9", 1))


def _with_a_row_less(content: bytes) -> bytes:
    lines = gzip.decompress(content).splitlines(keepends=True)
    return gzip.compress(b"".join([*lines[:5], *lines[6:]]))


def _no_gzip(_: bytes) -> bytes:
    return b"no gzip"


def _something_else(_: bytes) -> bytes:
    return gzip.compress(json.dumps({"format": "x"}).encode() + b'\n{"trailer":{}}\n')


@pytest.mark.parametrize(
    "spoil",
    [
        _cut_in_half,
        _without_the_end,
        _with_a_changed_row,
        _with_a_row_less,
        _something_else,
        lambda content: b"no gzip",
    ],
)
def test_a_file_that_is_not_whole_is_refused_before_anything_is_touched(
    table: TableClient, other: TableClient, tmp_path: Path, spoil: Callable[[bytes], bytes]
):
    out = tmp_path / "b.gz"
    back_up(table, out, silent)
    out.write_bytes(spoil(out.read_bytes()))
    with pytest.raises(BackupFailed):
        restore(other, out, silent, force=True)
    with pytest.raises(ResourceNotFoundError):  # the table was not even made
        next(iter(other.list_entities()))
