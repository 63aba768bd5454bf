"""The services on real storage: what the fakes promise holds on Azurite too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue import TextBase64DecodePolicy
from azure.storage.queue.aio import QueueClient
from support.events import DAY, claim, hub_event, onboarding_pem, twin_event
from support.fakes import NOON, FakeAlerts, FakeClock, FakeHub, FakeProvisioning, FakeSender

from shared.adapters.deadletters import BlobDeadLetters
from shared.adapters.queues import StorageQueue
from shared.adapters.table import AzureTable
from shared.contracts import AlertType
from shared.domain.changes import Policies, Reduction
from shared.domain.policy import BeliefPolicy
from shared.domain.record import Actor, DeviceRecord, State
from shared.services.commands import Commands
from shared.services.containment import Containment
from shared.services.deadlines import Deadlines
from shared.services.devices import Devices
from shared.services.listing import Listing
from shared.services.outbox import Outbox
from shared.services.pacing import Budget
from shared.services.recording import Recording
from shared.services.store import FleetStore

ANN = Actor(name="ann", object_id="o-1")


@dataclass
class World:
    """The services over Azurite, and fakes where the real thing is not storage."""

    connection: str
    name: str
    alerts: FakeAlerts = field(default_factory=FakeAlerts)
    hub: FakeHub = field(default_factory=FakeHub)
    provisioning: FakeProvisioning = field(default_factory=FakeProvisioning)
    sender: FakeSender = field(default_factory=FakeSender)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        policies = Policies(belief=BeliefPolicy(validity=30 * DAY))
        self.table = AzureTable.from_connection_string(self.connection, self.name)
        self.queues = [StorageQueue.from_connection_string(self.connection, f"{self.name}{n}") for n in "ab"]
        self.letters = BlobDeadLetters.from_connection_string(self.connection, self.name)
        self.store = FleetStore(self.table, 4)
        outbox = Outbox(self.store, self.alerts, self.queues[0], self.queues[1])
        self.recording = Recording(self.store, outbox, self.letters, self.hub, policies, self.clock)
        self.deadlines = Deadlines(self.store, outbox, self.hub, policies, Budget(), self.clock)
        self.commands = Commands(self.store, self.sender, self.hub, policies, self.clock)
        self.containment = Containment(self.store, outbox, self.hub, self.provisioning, self.clock)
        self.devices = Devices(self.store, self.deadlines, self.clock)
        self.listing = Listing(self.table, self.store.partitions)

    async def close(self) -> None:
        for adapter in (self.table, *self.queues, self.letters):
            await adapter.close()

    async def record(self, device_id: str = "dev-1") -> DeviceRecord:
        return await self.devices.show(device_id)

    async def messages(self, which: str) -> list[dict[str, Any]]:
        async with QueueClient.from_connection_string(
            self.connection, f"{self.name}{which}", message_decode_policy=TextBase64DecodePolicy()
        ) as queue:
            return [json.loads(message.content) async for message in queue.receive_messages()]


@pytest.fixture
async def world(storage: str, fresh_name: str) -> AsyncIterator[World]:
    world = World(storage, fresh_name)
    yield world
    await world.close()


async def test_a_certificate_goes_from_its_report_to_its_renewal(world: World) -> None:
    await world.recording.record_hub_events([twin_event({"certificate": claim()})])
    due = (await world.record()).due_at
    assert due is not None
    world.clock.advance(due - NOON)
    await world.deadlines.sweep()
    [message] = await world.messages("a")
    await world.commands.send(message)
    assert (await world.record()).state is State.COMMANDED
    renewed = twin_event({"certificate": claim(due, thumbprint="bb" * 32)}, version=3, at=due)
    await world.recording.record_hub_events([renewed, renewed])
    assert (await world.record()).state is State.VALID
    assert world.alerts.types == [
        AlertType.CERTIFICATE_ISSUED,
        AlertType.CERTIFICATE_RENEWAL_DUE,
        AlertType.CERTIFICATE_RENEWED,
    ]


async def test_a_hundred_devices_with_strange_names_are_recorded_listed_and_swept(world: World) -> None:
    names = [f"d{n}-:.+%_#*?!(),=@;$'" for n in range(100)]
    events = [
        twin_event({"certificate": claim(thumbprint=f"{n:064x}")}, device_id=d, sequence=n) for n, d in enumerate(names)
    ]
    await world.recording.record_hub_events(events)
    seen, cursor = [], None
    while True:
        page = await world.listing.page(30, cursor)
        seen.extend(line.device_id for line in page.devices)
        if (cursor := page.cursor) is None:
            break
    assert sorted(seen) == sorted(names)
    world.clock.advance(26 * DAY)
    outcome = await world.deadlines.sweep()
    assert (outcome.examined, outcome.commands, outcome.over_budget) == (100, 50, 50)


async def test_two_writers_of_one_record_both_have_their_way(world: World) -> None:
    await world.recording.record_hub_events([twin_event({"certificate": claim()})])

    def tagged(name: str) -> Any:
        def reducer(_: str, record: DeviceRecord | None) -> Reduction:
            assert record is not None
            tags = {**record.tags, name: "x"}
            return Reduction(DeviceRecord(**{f: getattr(record, f) for f in record.__slots__} | {"tags": tags}))

        return reducer

    await asyncio.gather(*(world.store.update(["dev-1"], tagged(f"t{n}")) for n in range(4)))
    assert set((await world.record()).tags) == {"t0", "t1", "t2", "t3"}


async def test_an_unreadable_event_waits_in_a_blob(world: World) -> None:
    bad = hub_event(b'{"certificate": nonsense', "twinChangeEvents", "updateTwin", sequence=42)
    await world.recording.record_hub_events([bad])
    async with ContainerClient.from_connection_string(world.connection, world.name) as container:
        names = [name async for name in container.list_blob_names()]
    assert names == ["iot-events/0/42"]


async def test_a_device_is_shut_out_and_then_rests(world: World) -> None:
    world.hub.add("dev-1")
    await world.recording.record_hub_events([twin_event({"certificate": claim()})])
    await world.containment.disable("dev-1", ANN, "stolen", onboarding_pem("dev-1"))
    for _ in range(3):
        for message in await world.messages("b"):
            await world.containment.advance(message)
        world.clock.advance(timedelta(minutes=5))
        await world.deadlines.sweep()
    record = await world.record()
    assert record.containment is not None
    assert record.containment.is_verified
    assert record.due_at is None
