"""What a range read of 100 due rows takes on Azurite in a small table and in one ten times as large: no goal.

Azurite scans the whole table for every range, Azure does not: this row is here so that nobody takes a local sweep's
time for Azure's. What a sweep costs in Azure is counted in `sweep_requests`.
"""

from __future__ import annotations

import asyncio
import secrets
import statistics
import time
from collections.abc import Sequence

from bench.results import Result
from bench.runner import Effort
from bench.storage import running_azurite
from shared.adapters.table import AzureTable
from shared.services.ports import Row, Write


def measure(effort: Effort) -> Sequence[Result]:
    """Milliseconds of both, the median of the rounds."""
    with running_azurite() as storage:
        small, large = (
            asyncio.run(_milliseconds(storage, rows, effort.rounds)) for rows in (1_000, effort.of(10_000, 2_000))
        )
    limit = "Azurite looks at every row of the table for a range: its times grow with the table, Azure's do not"
    return [Result(name="azurite_range_ms", value=large, unit="ms", against=small, limit=limit)]


async def _milliseconds(storage: str, rows: int, rounds: int) -> float:
    table = AzureTable.from_connection_string(storage, f"t{secrets.token_hex(8)}")
    for first in range(0, rows, 100):
        kind = "due!" if first == 0 else "expires!"
        keys = (f"{kind}{number:07}" for number in range(first, first + 100))
        await table.commit("s00", [Write("insert", Row("s00", key, {"deviceId": key})) for key in keys])
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        found = [row async for row in table.scan("s00", "due!", 'due"')]
        times.append(1000 * (time.perf_counter() - started))
        if len(found) != 100:
            raise RuntimeError(f"the range holds 100 rows, not {len(found)}")
    await table.close()
    return statistics.median(times)
