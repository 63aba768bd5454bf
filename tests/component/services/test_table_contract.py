"""What the services rely on in the table port: one contract, held by the table in memory and by the real adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from support.paged_table import PAGE, PagedTable

from shared.adapters.table import AzureTable
from shared.errors import Conflict
from shared.services.ports import Row, Table, Value, Write

SHARD = "s07"


@pytest.fixture(params=["in memory", "on Azurite"])
async def table(request: pytest.FixtureRequest, storage: str, fresh_name: str) -> AsyncIterator[Table]:
    if request.param == "in memory":
        yield PagedTable()
        return
    real = AzureTable.from_connection_string(storage, fresh_name)
    yield real
    await real.close()


def write(kind: str, key: str, etag: str | None = None, **values: Value) -> Write:
    return Write(kind, Row(SHARD, key, values, etag))  # type: ignore[arg-type]  # the tests name kinds that exist


async def keys_of(table: Table, low: str, high: str, limit: int | None = None) -> list[str]:
    return [row.key async for row in table.scan(SHARD, low, high, limit)]


async def fill(table: Table, *keys: str) -> None:
    for first in range(0, len(keys), 100):
        await table.commit(SHARD, [write("upsert", key, n=1) for key in keys[first : first + 100]])


async def test_a_row_comes_back_with_its_values_and_an_etag(table: Table) -> None:
    await table.commit(SHARD, [write("insert", "a", text="x", number=7, flag=True)])
    row = await table.get(SHARD, "a")
    assert row is not None
    assert (row.partition, row.key, dict(row.values)) == (SHARD, "a", {"text": "x", "number": 7, "flag": True})
    assert row.etag


async def test_an_absent_row_is_none_and_left_out_of_many(table: Table) -> None:
    await fill(table, "a", "b")
    assert await table.get(SHARD, "c") is None
    assert set(await table.get_many(SHARD, ["a", "b", "c", "a"])) == {"a", "b"}


async def test_partitions_do_not_see_each_other(table: Table) -> None:
    await fill(table, "a")
    assert await table.get("s08", "a") is None


async def test_a_commit_answers_the_etags_of_what_it_wrote(table: Table) -> None:
    await fill(table, "gone", "kept")
    kept = await table.get(SHARD, "kept")
    assert kept is not None
    etags = await table.commit(
        SHARD,
        [write("insert", "new"), write("upsert", "put"), write("replace", "kept", kept.etag), write("delete", "gone")],
    )
    assert set(etags) == {"new", "put", "kept"}
    for key, etag in etags.items():
        row = await table.get(SHARD, key)
        assert row is not None
        assert row.etag == etag


async def test_an_etag_that_a_commit_answered_is_good_for_the_next_write(table: Table) -> None:
    etags = await table.commit(SHARD, [write("insert", "a", n=1)])
    await table.commit(SHARD, [write("replace", "a", etags["a"], n=2)])
    row = await table.get(SHARD, "a")
    assert row is not None
    assert row.values == {"n": 2}


async def test_an_etag_is_good_once(table: Table) -> None:
    etags = await table.commit(SHARD, [write("insert", "a", n=1)])
    await table.commit(SHARD, [write("replace", "a", etags["a"], n=2)])
    with pytest.raises(Conflict):
        await table.commit(SHARD, [write("replace", "a", etags["a"], n=3)])


async def test_a_replace_of_a_row_that_is_gone_is_a_conflict(table: Table) -> None:
    etags = await table.commit(SHARD, [write("insert", "a")])
    await table.commit(SHARD, [write("delete", "a")])
    with pytest.raises(Conflict):
        await table.commit(SHARD, [write("replace", "a", etags["a"])])


async def test_a_conflict_keeps_the_whole_transaction_from_being_written(table: Table) -> None:
    await fill(table, "taken")
    with pytest.raises(Conflict):
        await table.commit(
            SHARD,
            [
                write("upsert", "first"),
                write("delete", "taken"),
                write("insert", "taken2"),
                write("insert", "second"),
                write("replace", "absent", 'W/"1"'),
            ],
        )
    assert await keys_of(table, "a", "z") == ["taken"]


async def test_a_delete_of_what_is_gone_is_content_and_the_rest_is_written(table: Table) -> None:
    etags = await table.commit(SHARD, [write("delete", "gone"), write("upsert", "a"), write("delete", "gone too")])
    assert set(etags) == {"a"}
    assert await keys_of(table, "a", "z") == ["a"]


async def test_a_transaction_of_nothing_but_absent_deletes_changes_nothing(table: Table) -> None:
    assert await table.commit(SHARD, [write("delete", "gone")]) == {}


async def test_a_scan_is_ordered_half_open_and_limited(table: Table) -> None:
    await fill(table, "b2", "a", "b1", "c", "b3")
    assert await keys_of(table, "b", "c") == ["b1", "b2", "b3"]
    assert await keys_of(table, "b1", "b3") == ["b1", "b2"]
    assert await keys_of(table, "b", "c", 2) == ["b1", "b2"]
    assert await keys_of(table, "b", "c", 0) == []
    assert await keys_of(table, "x", "y") == []


async def test_a_scan_goes_on_over_pages_and_stops_at_its_limit(table: Table) -> None:
    keys = [f"k{number:04}" for number in range(PAGE + 150)]
    await fill(table, *keys)
    assert await keys_of(table, "k", "l") == keys
    assert await keys_of(table, "k", "l", PAGE + 20) == keys[: PAGE + 20]


async def test_keys_sort_by_their_code_points(table: Table) -> None:
    keys = ["due!20261123T101500!a", 'due!20261123T101500"', "due!20261123T101500!a~20b", "due!20261123T101500!a-b"]
    await fill(table, *keys)
    assert await keys_of(table, "due!", "due~") == sorted(keys)
