"""The double of the table counts what a storage account would bill: benches and their goals rest on it."""

from __future__ import annotations

import pytest
from support.paged_table import PAGE, PagedTable, Traffic

from shared.services.ports import Row, Write


def upsert(key: str) -> Write:
    return Write("upsert", Row("s00", key, {}))


async def test_a_scan_costs_a_request_a_page_and_the_entities_that_come_back() -> None:
    table = PagedTable()
    table.put_in_bulk("s00", ((f"k{n:05}", {}) for n in range(2 * PAGE + 1)))
    assert len([row async for row in table.scan("s00", "k", "l")]) == 2 * PAGE + 1
    assert table.traffic == Traffic(requests=3, entities=2 * PAGE + 1, pages=3)


async def test_an_empty_range_costs_a_request() -> None:
    table = PagedTable()
    assert [row async for row in table.scan("s00", "k", "l")] == []
    assert table.traffic == Traffic(requests=1, pages=1)


async def test_every_point_read_costs_a_request_found_or_not() -> None:
    table = PagedTable()
    table.put_in_bulk("s00", [("a", {})])
    await table.get_many("s00", ["a", "b", "a"])
    assert table.traffic == Traffic(requests=2, entities=1, reads=2)


async def test_a_transaction_costs_one_request_and_a_delete_of_nothing_a_second() -> None:
    table = PagedTable()
    await table.commit("s00", [upsert("a"), upsert("b")])
    assert table.reset() == Traffic(requests=1, transactions=1, operations=2)
    await table.commit("s00", [upsert("a"), Write("delete", Row("s00", "gone", {}))])
    assert table.reset() == Traffic(requests=2, transactions=1, operations=2)


@pytest.mark.parametrize("writes", [[], [upsert("a"), upsert("a")], [upsert(f"k{n}") for n in range(101)]])
async def test_what_azure_refuses_as_a_transaction_is_refused(writes: list[Write]) -> None:
    with pytest.raises(ValueError, match="transaction"):
        await PagedTable().commit("s00", writes)
