"""Feedback on real cloud-to-device messages: ours moves the record, everybody else's stays for its owner.

The shared app does not drain (`FEEDBACK=off`): these tests call the service themselves, on a table of their own. To it
even the app's commands are somebody else's.
"""

from __future__ import annotations

import json
import secrets
import ssl
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.identity import ManagedIdentityCredential
from azure.identity.aio import ManagedIdentityCredential as AsyncManagedIdentityCredential
from azure.iot.hub import IoTHubRegistryManager
from support.events import DAY, claim, twin_event
from support.fakes import FakeAlerts, FakeDeadLetters, FakeQueue
from support.hub_clients import PlainDevice, operational_credentials, owner_token

from shared.adapters.commands import CloudToDeviceSender
from shared.adapters.feedback import HubFeedback
from shared.adapters.iothub import IotHub
from shared.adapters.table import AzureTable
from shared.clock import SystemClock
from shared.domain import reasons
from shared.domain.changes import Policies
from shared.domain.policy import RenewalPolicy
from shared.domain.record import DeviceRecord
from shared.errors import Conflict
from shared.services.commands import Commands
from shared.services.deadlines import Deadlines
from shared.services.feedback import DrainOutcome, Feedback, FeedbackBatch
from shared.services.outbox import Outbox
from shared.services.pacing import Budget
from shared.services.recording import Recording
from shared.services.store import FleetStore

FEEDBACK = "/messages/serviceBound/feedback"
PATIENCE_SECONDS = 10


@dataclass
class Fleet:
    """The services over the real hub and the real table."""

    table: AzureTable
    hub: IotHub
    sender: CloudToDeviceSender
    queue: HubFeedback
    command_ttl: timedelta = timedelta(minutes=5)
    work: FakeQueue = field(default_factory=FakeQueue)

    def __post_init__(self) -> None:
        policies, self.clock = Policies(RenewalPolicy(command_ttl=self.command_ttl)), SystemClock()
        self.store = FleetStore(self.table, 1)
        outbox = Outbox(self.store, FakeAlerts(), self.work, FakeQueue())
        self.recording = Recording(self.store, outbox, FakeDeadLetters(), self.hub, policies, self.clock)
        self.deadlines = Deadlines(self.store, outbox, self.hub, policies, Budget(), self.clock)
        self.commands = Commands(self.store, self.sender, self.hub, policies, self.clock)

    async def command(self, device_id: str) -> str:
        """A certificate in its window, and the command that left for it; the command's id."""
        issued = datetime.now(UTC) - 27 * DAY
        known = await self.store.load(device_id)
        if known is None:
            await self.recording.record_hub_events(
                [twin_event({"certificate": claim(issued)}, device_id=device_id, at=issued)]
            )
        await self.deadlines.evaluate([device_id])
        await self.commands.send(self.work.messages[-1])
        return str(self.work.messages[-1]["commandId"])

    async def record(self, device_id: str) -> DeviceRecord:
        stored = await self.store.load(device_id)
        assert stored is not None
        return stored.record

    async def drain(self) -> DrainOutcome:
        """One drain by a new instance, which has no reason to rest."""
        return await Feedback(self.store, self.queue, self.clock).drain()

    async def drain_until(self, device_id: str, reason: str) -> DrainOutcome:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            outcome = await self.drain()
            if (await self.record(device_id)).reason == reason:
                return outcome
            assert time.monotonic() < deadline, (await self.record(device_id)).reason


@pytest.fixture
async def fleet(azure: dict[str, Any], request: pytest.FixtureRequest) -> AsyncIterator[Fleet]:
    """Give the life of commands by indirect parametrization."""
    async with AsyncManagedIdentityCredential() as credential:
        table = AzureTable.from_connection_string(azure["storage_connection_string"], f"t{secrets.token_hex(8)}")
        hub = IotHub(azure["iothub_hostname"], ManagedIdentityCredential())
        sender = CloudToDeviceSender(azure["iothub_hostname"], ManagedIdentityCredential())
        queue = HubFeedback(azure["iothub_hostname"], credential)
        yield Fleet(table, hub, sender, queue, getattr(request, "param", timedelta(minutes=5)))
        for adapter in (table, hub, sender, queue):
            await adapter.close()


@pytest.fixture(scope="module")
def registry(azure: dict[str, Any]) -> IoTHubRegistryManager:
    return IoTHubRegistryManager.from_connection_string(azure["iothub_service_connection_string"])


@pytest.fixture
async def rest(azure: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    """Another back end, with an empty feedback queue to begin with."""
    async with httpx.AsyncClient(
        base_url=f"https://{azure['iothub_hostname']}",
        verify=ssl.create_default_context(cafile=azure["ca_bundle"]),
        headers={"Authorization": owner_token(azure["iothub_service_connection_string"])},
        params={"api-version": "2021-04-12"},
    ) as client:
        await what_is_left(client)
        yield client


@pytest.fixture
def device_id(registry: IoTHubRegistryManager) -> str:
    """A device that is never connected."""
    name = f"heard-{uuid.uuid4().hex[:8]}"
    registry.create_device_with_certificate_authority(name, "enabled")
    return name


async def what_is_left(rest: httpx.AsyncClient) -> set[str]:
    """The ids of the messages on which feedback waits; it is all completed."""
    ids: set[str] = set()
    while (batch := (await rest.get(FEEDBACK)).raise_for_status()).status_code == 200:
        ids |= {record["originalMessageId"] for record in batch.json()}
        (await rest.delete(f"{FEEDBACK}/{batch.headers['ETag'].strip('"')}")).raise_for_status()
    return ids


async def lent(queue: HubFeedback, message_id: str) -> FeedbackBatch:
    """The batch with the feedback on a message; what other tests left before it is completed."""
    while (batch := await queue.receive()) is not None:
        if message_id in batch.body.decode():
            return batch
        await queue.complete(batch.lock_token)
    raise AssertionError(f"no feedback on {message_id}")


@pytest.mark.parametrize("fleet", [timedelta(seconds=1)], indirect=True)
async def test_a_command_that_expired_unheard_is_sent_again(
    fleet: Fleet, rest: httpx.AsyncClient, device_id: str
) -> None:
    first = await fleet.command(device_id)
    await fleet.drain_until(device_id, reasons.COMMAND_EXPIRED)
    second = await fleet.command(device_id)
    assert second != first
    command = (await fleet.record(device_id)).command
    assert command is not None
    assert (command.attempt, command.sent_at is not None) == (2, True)


async def test_a_command_that_the_device_took_is_delivered(
    azure: dict[str, Any], fleet: Fleet, rest: httpx.AsyncClient, tmp_path: Path
) -> None:
    name = f"heard-{uuid.uuid4().hex[:8]}"
    with PlainDevice(azure, name, operational_credentials(azure, name, tmp_path)) as device:
        device.subscribe(f"devices/{name}/messages/devicebound/#")
        command_id = await fleet.command(name)
        assert json.loads(device.next_message()[1])["commandId"] == command_id
        await fleet.drain_until(name, reasons.COMMAND_DELIVERED)
    assert command_id not in await what_is_left(rest)


async def test_ours_is_taken_and_somebody_elses_is_left_for_them(
    fleet: Fleet, rest: httpx.AsyncClient, registry: IoTHubRegistryManager, device_id: str
) -> None:
    foreign = f"billing-{device_id}"
    registry.send_c2d_message(device_id, "x", {"messageId": foreign, "iothub-ack": "full"})
    command_id = await fleet.command(device_id)
    (await rest.delete(f"/devices/{device_id}/commands")).raise_for_status()
    outcome = await fleet.drain_until(device_id, reasons.COMMAND_PURGED)
    assert outcome.moved == 1
    assert outcome.given_back >= 1
    after = await fleet.record(device_id)
    for _ in range(3):  # what is ours in the batch comes again with it, and changes nothing
        assert (await fleet.drain()).moved == 0
    assert await fleet.record(device_id) == after
    assert {foreign, command_id} <= await what_is_left(rest)


async def test_a_loan_that_has_ended_can_be_neither_completed_nor_given_back(
    fleet: Fleet, rest: httpx.AsyncClient, registry: IoTHubRegistryManager, device_id: str
) -> None:
    registry.send_c2d_message(device_id, "x", {"messageId": f"m-{device_id}", "iothub-ack": "full"})
    (await rest.delete(f"/devices/{device_id}/commands")).raise_for_status()
    batch = await lent(fleet.queue, f"m-{device_id}")
    await fleet.queue.abandon(batch.lock_token)
    for settle in (fleet.queue.complete, fleet.queue.abandon):
        with pytest.raises(Conflict):
            await settle(batch.lock_token)
    again = await lent(fleet.queue, f"m-{device_id}")
    assert again.lock_token != batch.lock_token
    await fleet.queue.complete(again.lock_token)
    assert f"m-{device_id}" not in await what_is_left(rest)
