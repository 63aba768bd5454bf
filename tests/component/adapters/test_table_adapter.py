"""The table port's contract, on Azurite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from azure.data.tables.aio import TableClient

from shared.adapters.table import AzureTable
from shared.domain.keys import device_key, history_range
from shared.errors import Conflict, InfrastructureFault
from shared.services.ports import Row, Write

SHARD = "s07"


@pytest.fixture
async def table(storage: str, fresh_name: str) -> AsyncIterator[AzureTable]:
    table = AzureTable.from_connection_string(storage, fresh_name)
    yield table
    await table.close()


def row(key: str, *, etag: str | None = None, **values: str | int | bool | datetime) -> Row:
    return Row(SHARD, key, values, etag)


async def keys_of(table: AzureTable, low: str, high: str, limit: int | None = None) -> list[str]:
    return [found.key async for found in table.scan(SHARD, low, high, limit)]


async def insert(table: AzureTable, *rows: Row) -> None:
    for first in range(0, len(rows), 100):
        await table.commit(SHARD, [Write("insert", each) for each in rows[first : first + 100]])


async def test_a_missing_table_is_made_at_the_first_use(table: AzureTable):
    assert await table.get(SHARD, "device!a") is None


async def test_two_workers_may_make_the_same_table(storage: str, fresh_name: str, table: AzureTable):
    await table.get(SHARD, "a")
    second = AzureTable.from_connection_string(storage, fresh_name)
    assert await second.get(SHARD, "a") is None
    await second.close()


@pytest.mark.parametrize(
    "value",
    [
        "text",
        "",
        "Ünïcödé \u2713 'quoted'",
        True,
        False,
        0,
        -(2**31),
        2**31,
        -(2**63),
        2**63 - 1,
        datetime(2026, 11, 23, 10, 0, 0, 123456, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    ],
)
async def test_a_value_comes_back_as_it_went(table: AzureTable, value: str | int | bool | datetime):
    await insert(table, row("a", value=value))
    found = await table.get(SHARD, "a")
    assert found is not None
    assert found.values == {"value": value}
    assert type(found.values["value"]) is type(value)
    assert found.etag


@pytest.mark.parametrize("device_id", ["plain", "O'Brien", "a%b?c#d", "x=y;z@w$", "q!r!s", "ü", "a:b+c*(d),e"])
async def test_every_device_id_finds_its_own_row(table: AzureTable, device_id: str):
    await insert(table, row(device_key(device_id), name=device_id))
    found = await table.get(SHARD, device_key(device_id))
    assert found is not None
    assert found.values["name"] == device_id


async def test_an_unescaped_quote_in_a_key_cannot_widen_a_scan(table: AzureTable):
    await insert(table, row("a"), row("b"))
    assert await keys_of(table, "x' or RowKey ge '", "y") == []


async def test_inserting_a_row_twice_is_a_conflict(table: AzureTable):
    await insert(table, row("a", n=1))
    with pytest.raises(Conflict):
        await insert(table, row("a", n=2))
    found = await table.get(SHARD, "a")
    assert found is not None
    assert found.values["n"] == 1


async def test_a_row_is_replaced_whole_while_its_etag_is_current(table: AzureTable):
    await insert(table, row("a", old=1))
    read = await table.get(SHARD, "a")
    assert read is not None
    await table.commit(SHARD, [Write("replace", row("a", etag=read.etag, new=2))])
    found = await table.get(SHARD, "a")
    assert found is not None
    assert found.values == {"new": 2}
    assert found.etag != read.etag


async def test_replacing_a_row_that_changed_since_is_a_conflict(table: AzureTable):
    await insert(table, row("a", n=1))
    read = await table.get(SHARD, "a")
    assert read is not None
    await table.commit(SHARD, [Write("upsert", row("a", n=2))])
    with pytest.raises(Conflict):
        await table.commit(SHARD, [Write("replace", row("a", etag=read.etag, n=3))])


async def test_replacing_a_row_that_is_gone_is_a_conflict(table: AzureTable):
    await insert(table, row("a"))
    read = await table.get(SHARD, "a")
    assert read is not None
    await table.commit(SHARD, [Write("delete", row("a"))])
    with pytest.raises(Conflict):
        await table.commit(SHARD, [Write("replace", row("a", etag=read.etag))])


async def test_an_upsert_leaves_nothing_of_the_row_before(table: AzureTable):
    await table.commit(SHARD, [Write("upsert", row("a", old=1))])
    await table.commit(SHARD, [Write("upsert", row("a", new=2))])
    found = await table.get(SHARD, "a")
    assert found is not None
    assert found.values == {"new": 2}


async def test_a_conflict_in_the_middle_writes_nothing_of_its_transaction(table: AzureTable):
    await insert(table, row("taken"))
    with pytest.raises(Conflict):
        await insert(table, row("before"), row("taken"), row("after"))
    assert await keys_of(table, "a", "z") == ["taken"]


async def test_deletes_of_absent_rows_do_not_keep_the_others_from_being_written(table: AzureTable):
    await insert(table, row("there"))
    await table.commit(
        SHARD,
        [
            Write("upsert", row("new")),
            Write("delete", row("absent-1")),
            Write("delete", row("there")),
            Write("delete", row("absent-2")),
        ],
    )
    assert await keys_of(table, "a", "z") == ["new"]


async def test_deleting_only_what_is_absent_is_done_at_once(table: AzureTable):
    await table.commit(SHARD, [Write("delete", row("absent"))])


async def test_a_hundred_rows_fit_one_transaction(table: AzureTable):
    await insert(table, *(row(f"{n:03d}") for n in range(100)))
    assert len(await keys_of(table, "0", "9")) == 100


async def test_a_scan_runs_over_pages_in_the_order_of_keys(table: AzureTable):
    await insert(table, *(row(f"due!{n:05d}") for n in reversed(range(1100))))
    found = await keys_of(table, "due!", 'due"')
    assert found == [f"due!{n:05d}" for n in range(1100)]


async def test_a_scan_includes_its_low_end_and_excludes_its_high_end(table: AzureTable):
    await insert(table, row("a"), row("b"), row("c"))
    assert await keys_of(table, "a", "c") == ["a", "b"]


async def test_a_scan_stops_at_its_limit(table: AzureTable):
    await insert(table, row("a"), row("b"), row("c"))
    assert await keys_of(table, "a", "z", limit=2) == ["a", "b"]
    assert await keys_of(table, "a", "z", limit=0) == []


async def test_a_scan_of_one_history_does_not_meet_its_neighbours(table: AzureTable):
    await insert(table, row("history!dev!1"), row("history!dev-2!1"), row("history!dev~212!1"))
    assert await keys_of(table, *history_range("dev")) == ["history!dev!1"]


async def test_a_scan_stays_in_its_partition(table: AzureTable):
    await insert(table, row("a"))
    await table.commit("s08", [Write("insert", Row("s08", "b", {}))])
    assert await keys_of(table, "a", "z") == ["a"]


async def test_many_reads_answer_only_what_is_there(table: AzureTable):
    await insert(table, *(row(f"k{n}", n=n) for n in range(50)))
    found = await table.get_many(SHARD, [*(f"k{n}" for n in range(60)), "k0"])
    assert {key: each.values["n"] for key, each in found.items()} == {f"k{n}": n for n in range(50)}


async def test_a_storage_that_is_away_is_an_infrastructure_fault():
    nowhere = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;TableEndpoint=http://127.0.0.1:9/a"
    table = AzureTable(TableClient.from_connection_string(nowhere, "fleet", retry_total=0))
    with pytest.raises(InfrastructureFault):
        await table.get(SHARD, "a")
    await table.close()
