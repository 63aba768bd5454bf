"""How long a certificate's report takes from IoT Hub's route into the table, end to end, at a steady trickle.

Microsoft's producer sends what IoT Hub would route, the local Event Hubs hold it, the functions host hands it to the
app in Microsoft's runtime, and the record stands in Azurite. The end is the table's own timestamp of the history row,
which is written with the record and never again.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from azure.data.tables.aio import TableClient
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient

from bench.local_azure import running_azure
from bench.results import Result
from bench.runner import Effort
from bench.traffic import amqp_members, certificate_body, message_annotations, properties

_SECONDS_BETWEEN: Final = 0.05
_PATIENCE_SECONDS: Final = 60.0


def measure(effort: Effort) -> Sequence[Result]:
    """Percentiles over 400 events, 20 a second, after some that warm all parts up."""
    with running_azure() as azure:
        latencies = asyncio.run(_latencies(azure, warm=effort.of(40, 5), count=effort.of(400, 10)))
    percentiles = statistics.quantiles(latencies, n=100, method="inclusive")
    limit = "the consumer's polling in Event Hubs' SDK, then one transaction; waiting behind the batch before"
    return [
        Result(name="event_to_record_p50_ms", value=percentiles[49], unit="ms", limit=limit),
        Result(name="event_to_record_p99_ms", value=percentiles[98], unit="ms", limit=limit),
    ]


async def _latencies(azure: Mapping[str, Any], *, warm: int, count: int) -> list[float]:
    """Milliseconds of each event but the first `warm`."""
    sent: dict[str, datetime] = {}
    async with EventHubProducerClient.from_connection_string(
        azure["eventhub_connection_string"], eventhub_name=azure["settings"]["IOT_EVENTS"]
    ) as producer:
        for number in range(warm + count):
            device_id = f"device-{number:05}"
            sent[device_id] = datetime.now(UTC)
            await producer.send_event(_event(device_id, number), partition_key=device_id)
            await asyncio.sleep(_SECONDS_BETWEEN)
    written = await _written(azure, set(sent))
    return [1000 * (written[d] - sent[d]).total_seconds() for d in list(sent)[warm:]]


async def _written(azure: Mapping[str, Any], wanted: set[str]) -> dict[str, datetime]:
    """When each device's first history row was written. Raises: TimeoutError where one never comes."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    connection, name = azure["storage_connection_string"], azure["settings"]["FLEET_TABLE"]
    async with TableClient.from_connection_string(connection, name) as table:
        while time.monotonic() < deadline:
            rows = table.query_entities("RowKey ge 'history!' and RowKey lt 'history\"'")
            written = {row["deviceId"]: at async for row in rows if (at := row.metadata["timestamp"]) is not None}
            if wanted <= written.keys():
                return written
            await asyncio.sleep(1)
    raise TimeoutError(f"{len(wanted - written.keys())} of {len(wanted)} events were not recorded")


def _event(device_id: str, number: int) -> EventData:
    now = datetime.now(UTC)
    event = EventData(certificate_body(number, now))
    event.properties = amqp_members(properties(device_id, now))
    event.raw_amqp_message.annotations = amqp_members(message_annotations(device_id))
    return event
