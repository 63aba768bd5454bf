"""Connection states on real storage: what the fakes promise holds on Azurite too."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from support.connections import connected, disconnected, sequence_number
from support.fakes import NOON, FakeAlerts, FakeClock, FakeDeadLetters, FakeQueue

from shared.adapters.table import AzureTable
from shared.domain import keys
from shared.domain.presence import Contained, Seen
from shared.services.ports import Row, Write
from shared.services.presence import Presence
from shared.services.seen import SeenRow, SeenRows

SHARDS = 4
SECOND = timedelta(seconds=1)


@pytest.fixture
async def table(storage: str, fresh_name: str) -> AsyncIterator[AzureTable]:
    table = AzureTable.from_connection_string(storage, fresh_name)
    yield table
    await table.close()


async def test_the_latest_state_stays_in_whatever_order_two_instances_hear_of_it(table: AzureTable) -> None:
    rows = SeenRows(table, SHARDS)
    instances = [Presence(rows, FakeDeadLetters(), FakeAlerts(), FakeQueue(), FakeClock(), "all") for _ in range(2)]
    names = [f"dev-{n}" for n in range(20)]
    events = [
        (connected if order % 2 else disconnected)(order, name, NOON + order * SECOND)
        for name in names
        for order in range(1, 6)
    ]
    order = random.Random(5)
    for instance in instances:
        order.shuffle(events)
        for start in range(0, len(events), 25):
            await instance.record_connection_events(events[start : start + 25])
    assert {await rows.of(name) for name in names} == {Seen(True, sequence_number(5), NOON + 5 * SECOND)}


async def test_a_state_that_was_read_before_another_wrote_is_not_written(table: AzureTable) -> None:
    rows = SeenRows(table, SHARDS)
    row = SeenRow(device_id="a!ü", hub="h", seen=Seen(False, "1", NOON), told_at=NOON)
    assert await rows.write([row]) == set()
    assert await rows.read(["a!ü", "nobody"]) == {"a!ü": row}
    assert await rows.write([row]) == {"a!ü"}


async def test_who_is_shut_out_is_found_in_every_shard(table: AzureTable) -> None:
    for n in range(10):
        values = {"deviceId": f"d{n}", "requestedAt": NOON} | ({"verifiedAt": NOON + SECOND} if n % 2 else {})
        shard = keys.shard_of(f"d{n}", SHARDS)
        await table.commit(shard, [Write("upsert", Row(shard, keys.contained_key(f"d{n}"), values))])
    assert await SeenRows(table, SHARDS).contained() == {
        f"d{n}": Contained(NOON, NOON + SECOND if n % 2 else None) for n in range(10)
    }
