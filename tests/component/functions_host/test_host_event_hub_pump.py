"""Batches, retries and checkpoints of the event hub pump, with a function that does as told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.eventhub import EventData

from fleetcert.local.functions_host.engine import Function, Outcome, RetryPolicy
from fleetcert.local.functions_host.event_hub_events import PartitionName, ReceivedEvent, batch_metadata, bodies_datum
from fleetcert.local.functions_host.event_hub_pump import EventHubPump
from fleetcert.local.functions_host.invoker import Invoker, Stopping
from fleetcert.local.functions_host.outputs import OutputBindings

ENQUEUED = datetime(2026, 11, 23, 14, 5, 0, 250_000, tzinfo=UTC)
AT_ONCE = timedelta()
SECOND = timedelta(seconds=1)


class ScriptedEngine:
    """Stands in for the runtime: each invocation takes the next result, the last one for ever."""

    def __init__(self, *results: bool, gate: asyncio.Event | None = None) -> None:
        self.results = list(results)
        self.retries: list[int] = []
        self.bodies: list[list[bytes]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.gate = gate

    @contextmanager
    def invocation(self, function: Function) -> Iterator[str]:
        yield "invocation-1"

    async def invoke(
        self,
        function: Function,
        invocation_id: str,
        inputs: Mapping[str, Any],
        metadata: Any,
        retries: int,
        caller: str | None,
    ) -> Outcome:
        self.retries.append(retries)
        self.bodies.append(inputs["events"].python_value)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(0)
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.in_flight -= 1
        ok = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        return Outcome(ok, None, {}, None if ok else "ValueError()")


class Bench:
    """A pump over a scripted engine; remembers which batches were checkpointed."""

    def __init__(self, engine: ScriptedEngine, retry: RetryPolicy | None = None, frequency: int = 1) -> None:
        function = Function("record", "id", {"name": "events"}, [], retry)
        self.engine = engine
        self.invoker = Invoker(engine, OutputBindings({}, "base64"))  # type: ignore[arg-type]
        self.pump = EventHubPump(function, self.invoker, data_type="BINARY", checkpoint_frequency=frequency)
        self.checkpoints: list[str] = []

    async def take(self, *bodies: str, partition: str = "0") -> None:
        async def checkpoint() -> None:
            self.checkpoints.append(bodies[-1])

        events = [event(body.encode(), number) for number, body in enumerate(bodies)]
        await self.pump.handle(PartitionName("ns", "hub", "$Default", partition), events, checkpoint)


def event(body: bytes = b"x", sequence_number: int = 7, **members: Any) -> ReceivedEvent:
    return ReceivedEvent(body, sequence_number, str(sequence_number * 64), ENQUEUED, **members)


def endless(delay: timedelta = AT_ONCE) -> RetryPolicy:
    return RetryPolicy(False, -1, delay, delay)


async def test_a_batch_that_succeeds_is_checkpointed() -> None:
    bench = Bench(ScriptedEngine(True))
    await bench.take("a", "b")

    assert bench.engine.bodies == [[b"a", b"b"]]
    assert bench.checkpoints == ["b"]


async def test_without_a_policy_a_failed_batch_is_checkpointed_and_lost() -> None:
    bench = Bench(ScriptedEngine(False))
    await bench.take("a")

    assert bench.engine.retries == [0]
    assert bench.checkpoints == ["a"]


async def test_a_policy_that_ends_checkpoints_the_failed_batch() -> None:
    bench = Bench(ScriptedEngine(False), RetryPolicy(True, 2, AT_ONCE, AT_ONCE))
    await bench.take("a")

    assert bench.engine.retries == [0, 1, 2]
    assert bench.checkpoints == ["a"]


async def test_an_endless_policy_keeps_the_checkpoint_waiting_until_it_succeeds() -> None:
    bench = Bench(ScriptedEngine(*[False] * 20, True), endless())
    await bench.take("a")

    assert bench.engine.retries == list(range(21))
    assert bench.checkpoints == ["a"]


async def test_the_checkpoint_waits_for_as_many_batches_as_the_host_file_says() -> None:
    bench = Bench(ScriptedEngine(True), frequency=3)
    for batch in "abcdefg":
        await bench.take(batch)

    assert bench.checkpoints == ["c", "f"]


async def test_one_invocation_is_in_flight_per_partition() -> None:
    gate = asyncio.Event()
    bench = Bench(ScriptedEngine(True, gate=gate))
    same = [asyncio.create_task(bench.take(body)) for body in "ab"]
    await asyncio.sleep(0.01)
    assert bench.engine.in_flight == 1

    other = asyncio.create_task(bench.take("c", partition="1"))
    await asyncio.sleep(0.01)
    assert bench.engine.in_flight == 2

    gate.set()
    await asyncio.gather(*same, other)
    assert bench.engine.most_in_flight == 2
    assert bench.checkpoints[-1] in {"b", "c"}


async def test_a_stop_lets_the_running_batch_finish_and_checkpoint() -> None:
    gate = asyncio.Event()
    bench = Bench(ScriptedEngine(True, gate=gate))
    batch = asyncio.create_task(bench.take("a"))
    await asyncio.sleep(0.01)
    stop = asyncio.create_task(bench.invoker.drain(SECOND))
    await asyncio.sleep(0.01)
    gate.set()

    assert await stop is True
    await batch
    assert bench.checkpoints == ["a"]


async def test_a_stop_ends_an_endless_retry_without_a_checkpoint() -> None:
    bench = Bench(ScriptedEngine(False), endless(timedelta(hours=1)))
    batch = asyncio.create_task(bench.take("a"))
    await asyncio.sleep(0.01)

    assert await bench.invoker.drain(SECOND) is True
    with pytest.raises(Stopping):
        await batch
    assert bench.checkpoints == []


async def test_nothing_begins_once_the_host_stops() -> None:
    bench = Bench(ScriptedEngine(True))
    await bench.invoker.drain(SECOND)

    with pytest.raises(Stopping):
        await bench.take("a")
    assert (bench.engine.bodies, bench.checkpoints) == ([], [])


async def test_a_lost_partition_cancels_its_invocation_without_a_checkpoint() -> None:
    bench = Bench(ScriptedEngine(True, gate=asyncio.Event()))
    batch = asyncio.create_task(bench.take("a"))
    await asyncio.sleep(0.01)
    await bench.pump.abandon("0")

    with suppress(asyncio.CancelledError):
        await batch
    assert batch.cancelled()
    assert (bench.engine.in_flight, bench.checkpoints) == (0, [])


async def test_a_stop_that_takes_too_long_says_so() -> None:
    bench = Bench(ScriptedEngine(True, gate=asyncio.Event()))
    batch = asyncio.create_task(bench.take("a"))
    await asyncio.sleep(0.01)

    assert await bench.invoker.drain(timedelta(milliseconds=20)) is False
    batch.cancel()
    assert bench.checkpoints == []


def test_system_properties_are_as_the_extension_writes_them() -> None:
    system = {"iothub-message-source": "twinChangeEvents", "iothub-enqueuedtime": "2026-11-23T14:04:59.000000Z"}
    written = event(partition_key="d1", system=system).system_properties()

    assert written == {
        **system,
        "SequenceNumber": 7,
        "Offset": 448,
        "OffsetString": "448",
        "PartitionKey": "d1",
        "EnqueuedTimeUtc": "2026-11-23T14:05:00.250000",
    }


def test_an_offset_that_is_no_number_is_minus_one() -> None:
    assert ReceivedEvent(b"", 1, "3:1:448", ENQUEUED).system_properties()["Offset"] == -1


def test_the_metadata_of_a_batch_has_one_member_per_event_but_for_missing_partition_keys() -> None:
    events = [event(sequence_number=1, partition_key="d1", properties={"deviceId": "d1"}), event(sequence_number=2)]
    metadata = batch_metadata(PartitionName("ns", "hub", "fleetcert", "3"), events)

    assert metadata["SequenceNumberArray"].python_value == [1, 2]
    assert metadata["PartitionKeyArray"].python_value == ["d1"]
    assert metadata["OffsetStringArray"].python_value == ["64", "128"]
    assert json.loads(metadata["PropertiesArray"].value) == [{"deviceId": "d1"}, {}]
    assert json.loads(metadata["PartitionContext"].value) == {
        "FullyQualifiedNamespace": "ns",
        "EventHubName": "hub",
        "ConsumerGroup": "fleetcert",
        "PartitionId": "3",
    }
    assert len(json.loads(metadata["SystemPropertiesArray"].value)) == 2


def test_an_empty_body_survives_as_bytes_and_is_dropped_as_text() -> None:
    events = [event(b"a"), event(b"")]

    assert bodies_datum(events, "BINARY").python_value == [b"a", b""]
    assert bodies_datum(events, "STRING").python_value == ["a"]


def test_an_event_of_the_sdk_keeps_its_annotations_and_properties() -> None:
    sent = EventData(b"body")
    sent.properties = {b"opType": b"updateTwin", "hub": "h"}
    sent.raw_amqp_message.annotations.update(
        {
            b"x-opt-sequence-number": 5,
            b"x-opt-offset": b"320",
            b"x-opt-enqueued-time": 1_795_000_000_500,
            b"x-opt-partition-key": b"d1",
            b"iothub-connection-device-id": b"d1",
            b"iothub-enqueuedtime": 1_795_000_000_000,
        }
    )

    received = ReceivedEvent.of(sent)

    assert (received.body, received.sequence_number, received.offset) == (b"body", 5, "320")
    assert received.partition_key == "d1"
    assert received.properties == {"opType": "updateTwin", "hub": "h"}
    assert received.system["iothub-connection-device-id"] == "d1"
    assert received.system["iothub-enqueuedtime"] == "2026-11-18T11:06:40.000000Z"
    assert received.enqueued_at == datetime(2026, 11, 18, 11, 6, 40, 500_000, tzinfo=UTC)
