"""What a sweep of the same 1,000 due devices costs at three sizes of the fleet, and what one would write instead.

Counted on the double of the table, which pages as Azure does. The sweep is the real service: it reads what is due,
decides, writes and confirms. Beside it stand the scan of the whole table and the hub's own query.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from bench.app import SETTINGS, app_over
from bench.fleet import full_table
from bench.results import Goal, Result
from bench.runner import Effort
from shared.domain.keys import shard_names
from tests.support.paged_table import PagedTable

DUE: Final = 1000
HUB_PAGE: Final = 100
"""Twins in one page of a hub query, the default (Azure docs: IoT Hub query language)."""
HUB_QUERIES_A_MINUTE: Final = 20
"""Of one S1 unit (Azure docs: IoT Hub quotas and throttling)."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What reached storage."""

    requests: int
    entities: int


def measure(effort: Effort) -> Sequence[Result]:
    """Requests and entities at 10,000, 100,000 and 1,000,000 devices; a smoke test has fewer."""
    due = effort.of(DUE, 20)
    small, middle, large = (
        effort.of(full, quick) for full, quick in ((10_000, 100), (100_000, 400), (1_000_000, 1000))
    )
    costs = {devices: asyncio.run(_cost(devices, due)) for devices in (small, middle)}
    table = full_table(large, due, datetime.now(UTC))
    scan = asyncio.run(_scan(table))
    costs[large] = asyncio.run(_swept(table, due))
    return [
        _compared("sweep_requests_1m_vs_10k", costs[large].requests, costs[small].requests, "requests"),
        _compared("sweep_entities_1m_vs_10k", costs[large].entities, costs[small].entities, "entities"),
        _compared("sweep_requests_100k_vs_10k", costs[middle].requests, costs[small].requests, "requests"),
        _scan_row(scan, costs[large]),
        _hub_query_row(large, due),
    ]


def _compared(name: str, value: float, against: float, unit: str) -> Result:
    limit = "what is due: a range read and its page for each shard, a point read for each device, the transactions"
    return Result(name=name, value=value, unit=unit, against=against, goal=Goal("+-", 0.05), limit=limit)


def _scan_row(scan: Cost, sweep_at_size: Cost) -> Result:
    return Result(
        name="sweep_vs_scan_entities",
        value=sweep_at_size.entities,
        unit="entities",
        against=scan.entities,
        limit=f"the scan of all records takes {scan.requests:,} requests, one after the other in a shard, each minute",
    )


def _hub_query_row(devices: int, due: int) -> Result:
    pages = math.ceil(due / HUB_PAGE)
    hours = math.ceil(devices / HUB_PAGE) / HUB_QUERIES_A_MINUTE / 60
    return Result(
        name="hub_query_minutes",
        value=pages / HUB_QUERIES_A_MINUTE,
        unit="minutes of the throttle",
        limit=f"a twin query by date takes {pages} of the {HUB_QUERIES_A_MINUTE} queries a minute of one S1 unit and "
        f"knows nothing of commands sent; to read all {devices:,} twins takes {hours:.0f} h",
    )


async def _cost(devices: int, due: int) -> Cost:
    return await _swept(full_table(devices, due, datetime.now(UTC)), due)


async def _swept(table: PagedTable, due: int) -> Cost:
    app = await app_over(table)
    table.reset()
    outcome = await app.services.deadlines.sweep()
    if outcome.examined != due:
        raise RuntimeError(f"the sweep saw {outcome.examined} devices of {due}")
    traffic = table.reset()
    return Cost(traffic.requests, traffic.entities)


async def _scan(table: PagedTable) -> Cost:
    """All records of the fleet, as one reads them who has no deadline rows."""
    table.reset()
    for partition in shard_names(SETTINGS.shards):
        async for _ in table.scan(partition, "device!", 'device"'):
            pass
    traffic = table.reset()
    return Cost(traffic.requests, traffic.entities)
