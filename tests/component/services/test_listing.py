"""Lists: every device once, in the order of time left, whatever is asked for, and at a bounded price."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fakes import NOON, FakeTable
from support.paged_table import PagedTable

from shared.contracts import format_instant
from shared.domain import keys
from shared.domain.changes import Reduction
from shared.domain.listing import EVERY_DEVICE, DeviceLine, Filter
from shared.domain.record import Certificate, DeviceRecord, Evidence, State
from shared.services.listing import EXAMINED, Listing
from shared.services.ports import Value
from shared.services.store import FleetStore

SHARDS = 4
DAY = timedelta(days=1)


def listed(device_id: str, ends: datetime | None, **values: Value) -> tuple[str, tuple[str, dict[str, Value]]]:
    """The shard of a device and its row in the list."""
    held: dict[str, Value] = {"deviceId": device_id, "state": "valid", "reason": "", "hub": "hub-1", **values}
    if ends is not None:
        held["validUntil"] = format_instant(ends)
    return keys.shard_of(device_id, SHARDS), (keys.expires_key(ends, device_id), held)


def filled(rows: Sequence[tuple[str, tuple[str, dict[str, Value]]]]) -> PagedTable:
    table = PagedTable()
    for partition in keys.shard_names(SHARDS):
        table.put_in_bulk(partition, [row for shard, row in rows if shard == partition])
    return table


def listing(table: Any, examined: int = EXAMINED) -> Listing:
    return Listing(table, keys.shard_names(SHARDS), examined)


async def all_pages(lists: Listing, limit: int, wanted: Filter) -> list[list[DeviceLine]]:
    pages, cursor = [], None
    while True:
        page = await lists.page(limit, cursor, wanted)
        assert len(page.devices) <= limit
        assert page.is_partial == (page.cursor is not None and len(page.devices) < limit)
        assert page.cursor is None or cursor is None or page.cursor > cursor
        pages.append(list(page.devices))
        cursor = page.cursor
        if cursor is None:
            return pages


DEVICES = st.lists(
    st.tuples(st.none() | st.integers(0, 20), st.sampled_from(["valid", "due", "expired"]), st.sampled_from("ab")),
    max_size=40,
)
WANTED = st.builds(
    Filter,
    expires_before=st.none() | st.integers(0, 20).map(lambda n: NOON + n * DAY),
    expires_after=st.none() | st.integers(0, 20).map(lambda n: NOON + n * DAY),
    states=st.frozensets(st.sampled_from([State.VALID, State.DUE]), max_size=2),
    tag=st.none() | st.just(("site", "a")),
    text=st.none() | st.sampled_from(["D1", "=B"]),
)


@settings(max_examples=150, deadline=None)
@given(DEVICES, WANTED, st.integers(1, 10), st.integers(1, 12))
def test_the_pages_of_a_list_hold_what_fits_once_and_in_order(
    devices: list[tuple[int | None, str, str]], wanted: Filter, limit: int, examined: int
):
    rows = [
        listed(
            f"d{n}",
            NOON + days * DAY if days is not None else None,
            state=state,
            tags=json.dumps({"site": site}),
        )
        for n, (days, state, site) in enumerate(devices)
    ]
    pages = asyncio.run(all_pages(listing(filled(rows), examined), limit, wanted))
    fitting = [
        (key, values["deviceId"])
        for _, (key, values) in rows
        if fits(wanted, values, str(values["deviceId"]), json.loads(str(values["tags"]))["site"])
    ]
    assert [line.device_id for page in pages for line in page] == [device_id for _, device_id in sorted(fitting)]


def fits(wanted: Filter, values: dict[str, Value], device_id: str, site: str) -> bool:
    """What a filter means, said a second time and more plainly."""
    ends = str(values.get("validUntil", ""))
    return (
        (not wanted.expires_before or "" < ends < format_instant(wanted.expires_before))
        and (not wanted.expires_after or ends >= format_instant(wanted.expires_after))
        and (not wanted.states or values["state"] in [state.value for state in wanted.states])
        and (not wanted.tag or site == wanted.tag[1])
        and (not wanted.text or wanted.text.lower() in device_id or wanted.text.lower() in f"site={site}")
    )


@pytest.mark.parametrize("about", [1, 50, 1000])
async def test_whoever_takes_more_rows_than_was_said_gets_all_of_them_in_order(about: int):
    rows = [listed(f"d{n}", NOON + timedelta(seconds=n)) for n in range(300)]
    taken = [row.key async for row in listing(filled(rows)).rows(EVERY_DEVICE, "", about)]
    assert taken == [key for _, (key, _) in rows]


async def test_a_fraction_of_a_second_bounds_a_list_as_exactly_as_a_whole_one():
    lists = listing(filled([listed("noon", NOON), listed("later", NOON + timedelta(seconds=1))]))
    half = NOON + timedelta(milliseconds=500)
    assert [line.device_id for line in (await lists.page(5, None, Filter(expires_before=half))).devices] == ["noon"]
    assert [line.device_id for line in (await lists.page(5, None, Filter(expires_after=half))).devices] == ["later"]


MILLION = 1_000_000


@pytest.fixture(scope="module")
def million() -> PagedTable:
    """A fleet of a million, one in a hundred thousand of it overdue."""
    table = PagedTable()
    shared: dict[str, dict[str, Value]] = {
        state: {"deviceId": "d", "state": state, "reason": "", "hub": "h"} for state in ("valid", "overdue")
    }
    shards: dict[str, list[tuple[str, dict[str, Value]]]] = {name: [] for name in keys.shard_names(16)}
    for number in range(MILLION):
        key = keys.expires_key(NOON + timedelta(seconds=number), f"d{number}")
        state = "overdue" if number % 100_000 == 99_999 else "valid"
        shards[f"s{number % 16:02d}"].append((key, shared[state]))
    for name, rows in shards.items():
        table.put_in_bulk(name, rows)
    return table


async def test_a_page_of_a_million_devices_costs_one_request_a_shard(million: PagedTable):
    million.reset()
    page = await Listing(million, keys.shard_names(16)).page(100)
    traffic = million.reset()
    assert len(page.devices) == 100
    assert traffic.requests == 16
    assert traffic.entities <= 500


async def test_a_filter_that_nothing_fits_looks_at_a_bounded_number_of_rows_and_says_so(million: PagedTable):
    million.reset()
    page = await Listing(million, keys.shard_names(16)).page(100, None, Filter(text="nobody"))
    traffic = million.reset()
    assert (page.devices, page.is_partial) == ((), True)
    assert page.cursor is not None
    assert traffic.entities <= 1.2 * EXAMINED
    assert traffic.requests <= 32


async def test_a_bound_on_the_end_costs_nothing_in_a_fleet_of_a_million(million: PagedTable):
    million.reset()
    later = Filter(expires_after=NOON + timedelta(seconds=MILLION - 10))
    page = await Listing(million, keys.shard_names(16)).page(100, None, later)
    assert (len(page.devices), page.cursor) == (10, None)
    assert million.reset().entities == 10


def record(**changes: Any) -> DeviceRecord:
    certificate = Certificate(
        identity="aa",
        valid_from=NOON,
        valid_until=NOON + 30 * DAY,
        evidence=Evidence.VERIFIED,
        first_seen=NOON,
        thumbprint="aa" * 32,
        issuer="CN=policy",
        authority_key_id="0c" * 20,
    )
    values = {"device_id": "dev#1", "registration_id": "Reg-1", "hub": "h", "first_seen": NOON, "updated_at": NOON}
    return DeviceRecord(**{**values, "state": State.DUE, "certificate": certificate, **changes})


async def written(table: FakeTable, device: DeviceRecord) -> None:
    await FleetStore(table, SHARDS).update([device.device_id], lambda _, __: Reduction(device))


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Filter(states=frozenset({State.DUE, State.OVERDUE})), True),
        (Filter(states=frozenset({State.VALID})), False),
        (Filter(issuer="0c" * 20), True),
        (Filter(issuer="CN=policy"), True),
        (Filter(issuer="CN=other"), False),
        (Filter(tag=("site", "bern")), True),
        (Filter(tag=("site", "ber")), False),
        (Filter(tag=("rack", "")), False),
        (Filter(text="DEV#"), True),
        (Filter(text="reg-1"), True),
        (Filter(text="pumps"), True),
        (Filter(text="AAAA"), True),
        (Filter(text="site=BERN"), True),
        (Filter(text="zürich"), False),
        (Filter(states=frozenset({State.DUE}), text="nobody"), False),
    ],
)
async def test_a_filter_asks_the_list_alone_for_what_the_record_says(wanted: Filter, fits: bool):
    table = FakeTable()
    await written(table, record(tags={"site": "bern"}, enrollment_group="pumps"))
    table.reads = 0
    page = await listing(table).page(5, None, wanted)
    assert [line.device_id for line in page.devices] == (["dev#1"] if fits else [])
    assert table.reads == 0


async def test_a_row_that_an_earlier_version_wrote_is_brought_up_by_the_devices_next_write():
    table = FakeTable()
    await written(table, record(tags={"site": "bern"}))
    for (partition, key), row in list(table.rows.items()):
        values = {name: value for name, value in row.values.items() if name not in ("tags", "listed")}
        table.rows[partition, key] = replace(row, values=values)
    in_bern = Filter(tag=("site", "bern"))
    assert (await listing(table).page(5, None, in_bern)).devices == ()
    await written(table, record(tags={"site": "bern"}, updated_at=NOON + DAY))
    assert len((await listing(table).page(5, None, in_bern)).devices) == 1
