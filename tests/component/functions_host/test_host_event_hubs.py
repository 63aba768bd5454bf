"""Event hub triggers in the real runtime, over AMQP, with checkpoints in Azurite: no event is lost, none is skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from fleetcert.local.amqp.server import AmqpServer
from fleetcert.local.credentials import LocalCredentials, SharedAccessPolicy, Tokens
from fleetcert.local.eventhubs.hubs import EventHubs
from fleetcert.local.ports import RoutedEvent

HUBS = ("delivery", "restart", "crash", "outage")
PARTITIONS = 2
DEVICES = ("d1", "d2", "d3", "d4")


@dataclass(frozen=True)
class Namespace:
    """The local Event Hubs namespace."""

    hubs: EventHubs
    connection_string: str
    run: Callable[..., Any]

    def publish(self, hub: str, *bodies: str) -> None:
        """Publishes from several devices in turn, so that every partition gets some."""

        async def publish() -> None:
            for number, body in enumerate(bodies):
                device = DEVICES[number % len(DEVICES)]
                annotations = {
                    "iothub-connection-device-id": device,
                    "iothub-message-source": "twinChangeEvents",
                    "iothub-enqueuedtime": datetime(2026, 11, 23, 14, 5, tzinfo=UTC),
                }
                self.hubs.publish(hub, RoutedEvent(body.encode(), device, {"deviceId": device}, annotations))

        self.run(publish())


@pytest.fixture(scope="module")
def namespace(server_loop: Any, unused_port: Any) -> Iterator[Namespace]:
    policy = SharedAccessPolicy("RootManageSharedAccessKey", (f"localhost:{unused_port}",), key_is_base64=False)
    hubs = EventHubs({name: PARTITIONS for hub in HUBS for name in (hub, f"{hub}-careless")})
    server = AmqpServer(hubs, None, LocalCredentials([policy], Tokens()))

    async def start() -> Any:
        return await server_loop.loop.create_server(server.protocol, "127.0.0.1", unused_port)

    async def stop() -> None:
        server.close()
        listener.close()

    listener = server_loop.run(start())
    text = (
        f"Endpoint=sb://localhost:{unused_port};SharedAccessKeyName={policy.name};"
        f"SharedAccessKey={policy.key};UseDevelopmentEmulator=true"
    )
    yield Namespace(hubs, text, server_loop.run)
    server_loop.run(stop())


@pytest.fixture
def settings(storage: Any, namespace: Namespace) -> Callable[[str], dict[str, str]]:
    def of(hub: str) -> dict[str, str]:
        return {
            "AzureWebJobsStorage": storage.connection_string,
            "Events": namespace.connection_string,
            "EVENTS": hub,
            "CARELESS_EVENTS": f"{hub}-careless",
        }

    return of


def recorded(host: Any) -> list[str]:
    return [body for entry in host.noted("patient", phase="end") for body in entry["bodies"]]


def numbered(start: int, count: int, prefix: str = "e") -> list[str]:
    return [f"{prefix}{number}" for number in range(start, start + count)]


def checkpoints(storage: Any, hub: str) -> dict[str, int]:
    """The checkpointed sequence number by partition."""
    with ContainerClient.from_connection_string(storage.connection_string, "azure-webjobs-eventhub") as container:
        blobs = [blob for blob in container.list_blobs(include=["metadata"]) if f"/{hub}/" in blob.name]
    return {
        blob.name.rpartition("/")[2]: int(blob.metadata["sequencenumber"])
        for blob in blobs
        if "/checkpoint/" in blob.name
    }


def is_in_order(entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether each partition's sequence numbers are 0, 1, 2, ... without a gap or a repetition."""
    seen: dict[str, list[int]] = {}
    for entry in entries:
        seen.setdefault(entry["partition"], []).extend(entry["sequence_numbers"])
    return all(numbers == list(range(len(numbers))) for numbers in seen.values())


def test_every_event_arrives_once_in_order_with_its_metadata(
    start_host: Any, settings: Any, namespace: Any, storage: Any, tmp_path: Path, eventually: Any
) -> None:
    sent = numbered(0, 24)
    namespace.publish("delivery", *sent)
    namespace.publish("delivery-careless", "a", "boom", "c")
    with start_host("sample_events_app", tmp_path, settings("delivery")) as host:
        eventually(lambda: len(recorded(host)) >= len(sent))
        eventually(lambda: len(host.noted("careless")) >= 1)
        namespace.publish("delivery-careless", "after", "after", "after", "after")
        eventually(lambda: sum(entry["bodies"].count("after") for entry in host.noted("careless")) >= 4)

        assert sorted(recorded(host)) == sorted(sent)
        entries = host.noted("patient", phase="end")
        assert is_in_order(entries)
        assert max(len(entry["bodies"]) for entry in entries) <= 5
        assert {entry["partition"] for entry in entries} == {"0", "1"}
        check_metadata(entries[0], namespace)
        eventually(lambda: sum(checkpoints(storage, "delivery").values()) == len(sent) - PARTITIONS)

    booms = [entry for entry in host.noted("careless") if "boom" in entry["bodies"]]
    assert len(booms) == 1, "without a retry policy a failed batch is checkpointed and does not come back"


def check_metadata(entry: Mapping[str, Any], namespace: Namespace) -> None:
    metadata, count = entry["metadata"], len(entry["bodies"])
    device = entry["partition_key"]
    assert device in DEVICES
    assert entry["enqueued"].endswith("+00:00") is False, "Azure's host sends no zone: the app must add it"
    assert entry["iothub"]["connection-device-id"] == device
    context = metadata["PartitionContext"]
    assert context["EventHubName"] == "delivery"
    assert context["ConsumerGroup"] == "$Default"
    assert context["FullyQualifiedNamespace"].startswith("localhost")
    assert metadata["SequenceNumberArray"] == entry["sequence_numbers"]
    assert len(metadata["OffsetStringArray"]) == count
    assert metadata["PropertiesArray"][0] == {"deviceId": device}
    first = metadata["SystemPropertiesArray"][0]
    assert first["iothub-message-source"] == "twinChangeEvents"
    assert first["iothub-enqueuedtime"] == "2026-11-23T14:05:00.000000Z"
    assert first["SequenceNumber"] == first["x-opt-sequence-number"] == entry["sequence_numbers"][0]
    assert first["PartitionKey"] == device


def test_a_stop_finishes_the_batch_in_flight_and_the_next_host_goes_on_behind_it(
    start_host: Any, settings: Any, namespace: Any, storage: Any, tmp_path: Path, eventually: Any
) -> None:
    before, meanwhile, after = [*numbered(0, 8), "slow"], numbered(8, 8), numbered(16, 8)
    with start_host("sample_events_app", tmp_path, settings("restart")) as host:
        namespace.publish("restart", *before[:8])
        eventually(lambda: len(recorded(host)) >= 8)
        namespace.publish("restart", "slow")
        eventually(lambda: "slow" in host.noted("patient", phase="start")[-1]["bodies"])
    assert host.child.process.returncode == 0
    assert sorted(recorded(host)) == sorted(before)
    assert sum(checkpoints(storage, "restart").values()) == len(before) - PARTITIONS

    namespace.publish("restart", *meanwhile)
    with start_host("sample_events_app", tmp_path, settings("restart")) as host:
        namespace.publish("restart", *after)
        eventually(lambda: len(recorded(host)) >= len([*before, *meanwhile, *after]))

        assert is_in_order(host.noted("patient", phase="end")), "the stop was graceful: nothing comes twice"
        assert sorted(recorded(host)) == sorted([*before, *meanwhile, *after])


def test_a_killed_host_repeats_the_batch_that_it_had_not_finished(
    start_host: Any, settings: Any, namespace: Any, tmp_path: Path, eventually: Any
) -> None:
    sent = numbered(0, 4) + numbered(4, 6, "slow")
    with start_host("sample_events_app", tmp_path, settings("crash")) as host:
        namespace.publish("crash", *sent[:4])
        eventually(lambda: len(recorded(host)) >= 4)
        namespace.publish("crash", *sent[4:])
        eventually(lambda: any("slow" in entry["bodies"][-1] for entry in host.noted("patient", phase="start")))
        host.child.process.kill()
        host.child.process.wait()
    assert len(recorded(host)) < len(sent)
    with start_host("sample_events_app", tmp_path, settings("crash")) as host:
        eventually(lambda: set(recorded(host)) == set(sent), 30)


def test_an_outage_is_retried_until_it_ends_across_a_stop_and_nothing_is_checkpointed_before(
    start_host: Any, settings: Any, namespace: Any, storage: Any, tmp_path: Path, eventually: Any
) -> None:
    broken = tmp_path / "journal.jsonl.broken"
    broken.touch()
    sent = numbered(0, 12)
    namespace.publish("outage", *sent)
    with start_host("sample_events_app", tmp_path, settings("outage")) as host:
        eventually(lambda: any(entry["retry"] >= 2 for entry in host.noted("patient", phase="start")))
        starts = host.noted("patient", phase="start", partition="0")
        assert len({tuple(entry["bodies"]) for entry in starts}) == 1, "the partition waits for its first batch"
    assert host.child.process.returncode == 0
    assert recorded(host) == []
    assert checkpoints(storage, "outage") == {}

    attempts = len(host.noted("patient", phase="start"))
    with start_host("sample_events_app", tmp_path, settings("outage")) as host:
        eventually(lambda: len(host.noted("patient", phase="start")) > attempts)
        broken.unlink()
        eventually(lambda: len(recorded(host)) >= len(sent))
        assert is_in_order(host.noted("patient", phase="end"))
