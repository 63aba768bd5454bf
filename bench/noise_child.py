"""A process with one app in Microsoft's runtime, which invokes a function with noise each time it is told to.

The runtime loads one app a process, so the two sides of `noise_vs_empty` are two of these. Each line on standard input
(a number of batches) is answered by a line of JSON: {"seconds", "storage_requests"}.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from bench.app import adapters_over
from bench.traffic import MORNING, noise_body, received
from fleetcert.local.functions_host.engine import Engine, Function
from fleetcert.local.functions_host.event_hub_events import PartitionName, batch_metadata, bodies_datum
from shared.composition import sdks
from shared.composition.ports import Adapters
from shared.settings import Settings
from tests.support.fakes import FakeAlerts
from tests.support.paged_table import PagedTable

BATCH: Final = 100
_PARTITION: Final = PartitionName("localhost", "iot-events", "fleetcert", "0")


class _Noise:
    """One function and one batch of noise."""

    def __init__(self, engine: Engine, function: Function) -> None:
        self._engine = engine
        self._function = function
        events = [received(noise_body(n, MORNING), f"device-{n:05}", n) for n in range(BATCH)]
        self._inputs = {function.trigger["name"]: bodies_datum(events, "BINARY")}
        self._metadata: dict[str, Any] = batch_metadata(_PARTITION, events)

    async def invoke(self, batches: int) -> float:
        """Seconds that the batches took, one after the other, as a partition's do."""
        started = time.perf_counter()
        for _ in range(batches):
            with self._engine.invocation(self._function) as invocation_id:
                outcome = await self._engine.invoke(self._function, invocation_id, self._inputs, self._metadata)
            if not outcome.ok:
                raise RuntimeError(outcome.error)
        return time.perf_counter() - started


async def main(app: Path, name: str) -> None:
    """Serves until standard input ends."""
    table = PagedTable()

    def build_adapters(settings: Settings) -> Adapters:
        return adapters_over(table, FakeAlerts())

    sdks.build_adapters = build_adapters
    engine = Engine(app)
    [function] = [f for f in await engine.start() if f.name == name]
    noise = _Noise(engine, function)
    await noise.invoke(1)  # the first use composes the services, which look at the table's layout
    table.reset()
    while line := await asyncio.to_thread(sys.stdin.readline):
        seconds = await noise.invoke(int(line))
        answer = {"seconds": seconds, "storage_requests": table.traffic.requests}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    engine.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
