"""Certificate changes a second on Azurite, against what one writes first: event by event, four requests each.

Both sides use Microsoft's SDK on one core, with Azurite on the other. The naive one keeps record, index and history,
but no deadline, no transaction, no order of events and no outbox: it would lose data, and it is faster for it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from bench.app import app_over
from bench.results import Goal, Result
from bench.runner import Effort, in_turn_async
from bench.storage import running_azurite
from bench.traffic import envelope
from shared.adapters.table import AzureTable
from shared.domain.envelope import Envelope

BATCH: Final = 100


def measure(effort: Effort) -> Sequence[Result]:
    """Changes a second of both sides, each round on new tables."""
    with running_azurite() as storage:
        return asyncio.run(_measured(storage, effort))


async def _measured(storage: str, effort: Effort) -> Sequence[Result]:
    batches = effort.of(4, 1)

    async def ours() -> float:
        table = AzureTable.from_connection_string(storage, _table_name())
        app = await app_over(table)
        started = time.perf_counter()
        for batch in _batches(batches):
            await app.services.recording.record_hub_events(batch)
        seconds = time.perf_counter() - started
        await table.close()
        return batches * BATCH / seconds

    async def naive() -> float:
        async with TableClient.from_connection_string(storage, _table_name()) as table:
            await table.create_table()
            started = time.perf_counter()
            for batch in _batches(batches):
                for event in batch:
                    await _record_naively(table, event)
            return batches * BATCH / (time.perf_counter() - started)

    await ours()  # warm
    value, against = await in_turn_async(effort.rounds, ours, naive)
    return [
        Result(
            name="record_vs_naive",
            value=value,
            unit="changes/s",
            against=against,
            goal=Goal(">=", 1.8),
            limit="Azurite's core; of Python's CPU nearly half is the SDK's pipeline under the point reads",
        )
    ]


async def _record_naively(table: TableClient, event: Envelope) -> None:
    device_id = event.properties["deviceId"]
    certificate = json.loads(event.body)["properties"]["reported"]["certificate"]
    with suppress(ResourceNotFoundError):  # a new device is written in the same way
        await table.get_entity("devices", device_id)
    document = {"record": json.dumps(certificate), "updatedAt": event.enqueued_at}
    await table.upsert_entity({"PartitionKey": "devices", "RowKey": device_id, **document}, UpdateMode.REPLACE)
    until = datetime.fromisoformat(certificate["validUntil"])
    index = {"PartitionKey": "expiry", "RowKey": f"{until:%Y%m%dT%H%M%S}-{device_id}", "deviceId": device_id}
    await table.upsert_entity(index, UpdateMode.REPLACE)
    history = {"PartitionKey": f"history-{device_id}", "RowKey": str(event.sequence_number), **document}
    await table.create_entity(history)


def _batches(count: int) -> list[list[Envelope]]:
    return [[envelope(f"device-{n:05}", n) for n in range(b * BATCH, (b + 1) * BATCH)] for b in range(count)]


def _table_name() -> str:
    return f"t{secrets.token_hex(8)}"
