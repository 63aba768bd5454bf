"""Storage requests for one certificate change, in batches of 100 devices, each with an alert to be sent.

Counted: the point reads, the transactions that store record, deadline, expiry, history and the alert's intent, and
those that confirm that the alert has left. The double of the table counts what Azure would bill.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Final

from bench.app import SETTINGS, app_over
from bench.results import Goal, Result
from bench.runner import Effort
from bench.traffic import MORNING, envelope
from shared.domain.keys import shard_names
from shared.domain.record import DeviceRecord
from shared.services.rows import stored
from tests.support.paged_table import PagedTable, Traffic

BATCH: Final = 100


def measure(effort: Effort) -> Sequence[Result]:
    """The requests of first certificates and of renewals."""
    batches = effort.of(10, 2)
    traffic, told = asyncio.run(_recorded(batches))
    changes = 2 * batches * BATCH
    return [
        Result(
            name="requests_per_change",
            value=traffic.requests / changes,
            unit="requests",
            goal=Goal("<=", 1.5),
            also={"every alert was stored, told and confirmed": told},
            limit=f"{traffic.reads / changes:.2f} point reads and {traffic.transactions / changes:.2f} transactions",
        )
    ]


async def _recorded(batches: int) -> tuple[Traffic, bool]:
    """Records every device's first certificate and a renewal of each. Whether no record waits for an alert to leave."""
    table = PagedTable()
    app = await app_over(table)
    table.reset()
    for renewal in range(2):
        at = MORNING + timedelta(days=20 * renewal)
        for batch in range(batches):
            numbers = range(batch * BATCH, (batch + 1) * BATCH)
            events = [
                envelope(f"device-{n:05}", renewal * batches * BATCH + n, at, version=2 + renewal) for n in numbers
            ]
            await app.services.recording.record_hub_events(events)
    traffic = table.reset()
    return traffic, bool(app.alerts.sent) and not [r async for r in _records(table) if r.pending or r.dispatch_by]


async def _records(table: PagedTable) -> AsyncIterator[DeviceRecord]:
    for partition in shard_names(SETTINGS.shards):
        async for row in table.scan(partition, "device!", 'device"'):
            yield stored(row).record
