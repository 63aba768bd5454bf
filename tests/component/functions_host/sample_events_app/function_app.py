# ruff: noqa: UP006, UP035 - list[...] in a trigger's annotation breaks the runtime's indexing
"""Event hub functions with and without a retry policy; they write what they see into the file JOURNAL."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import List

import azure.functions as func

app = func.FunctionApp()


def note(**entry: object) -> None:
    with Path(os.environ["JOURNAL"]).open("a", encoding="utf-8") as journal:
        journal.write(json.dumps({"at": time.time(), **entry}) + "\n")


def broken() -> bool:
    return Path(os.environ["JOURNAL"] + ".broken").exists()


@app.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="%EVENTS%",
    connection="Events",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
@app.retry(
    strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:01", maximum_interval="00:00:01"
)
async def patient(events: List[func.EventHubEvent], context: func.Context) -> None:
    metadata = events[0].metadata
    partition = metadata["PartitionContext"]["PartitionId"]
    bodies = [event.get_body().decode() for event in events]
    retry = context.retry_context.retry_count
    note(function="patient", phase="start", partition=partition, bodies=bodies, retry=retry)
    if any(body.startswith("slow") for body in bodies):
        await asyncio.sleep(1)
    if broken():
        raise ConnectionError("the store is away")
    first = events[0]
    note(
        function="patient",
        phase="end",
        partition=partition,
        bodies=bodies,
        sequence_numbers=[event.sequence_number for event in events],
        enqueued=first.enqueued_time.isoformat(),
        partition_key=first.partition_key,
        iothub=first.iothub_metadata,
        metadata=metadata,
    )


@app.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="%CARELESS_EVENTS%",
    connection="Events",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
async def careless(events: List[func.EventHubEvent]) -> None:
    bodies = [event.get_body().decode() for event in events]
    note(function="careless", bodies=bodies)
    if "boom" in bodies:
        raise ValueError("no retry policy: these events are gone")
