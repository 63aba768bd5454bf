"""A fleet with its containment, over fakes, for tests of disable, enable and revoke."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from support.events import DAY, claim, twin_event
from support.fakes import (
    FakeAlerts,
    FakeClock,
    FakeDeadLetters,
    FakeHub,
    FakeProvisioning,
    FakeQueue,
    FakeRegistry,
    FakeSender,
    FakeTable,
)
from support.meddling import Meddling

from shared.domain.changes import Policies
from shared.domain.leaves import Leaf
from shared.domain.policy import BeliefPolicy
from shared.domain.record import Actor, DeviceRecord
from shared.domain.record import Containment as Progress
from shared.services.commands import Commands
from shared.services.containment import Containment
from shared.services.deadlines import Deadlines
from shared.services.devices import Devices
from shared.services.leaf_rows import LeafRows
from shared.services.outbox import Outbox
from shared.services.pacing import Budget
from shared.services.recording import Recording
from shared.services.seen import SeenRows
from shared.services.store import FleetStore

ANN = Actor(name="ann", object_id="o-1", app_id="a-1")
BOB = Actor(name="bob", object_id="o-2", app_id="a-1")
LOOK = timedelta(minutes=5)
SHARDS = 2


@dataclass
class Ward:
    """What a containment works on. registry: None is a fleet without an ADR namespace."""

    table: FakeTable = field(default_factory=FakeTable)
    alerts: FakeAlerts = field(default_factory=FakeAlerts)
    commands_queue: FakeQueue = field(default_factory=FakeQueue)
    queue: FakeQueue = field(default_factory=FakeQueue)
    hub: FakeHub = field(default_factory=FakeHub)
    provisioning: FakeProvisioning = field(default_factory=FakeProvisioning)
    registry: FakeRegistry | None = None
    sender: FakeSender = field(default_factory=FakeSender)
    clock: FakeClock = field(default_factory=FakeClock)
    purges: bool = False
    meddling: Meddling = field(default_factory=Meddling)

    def __post_init__(self) -> None:
        policies = Policies(belief=BeliefPolicy(validity=30 * DAY))
        wrap = self.meddling.wrap
        self.store = FleetStore(wrap("table", self.table), SHARDS)
        self.outbox = Outbox(self.store, self.alerts, self.commands_queue, self.queue)
        self.recording = Recording(self.store, self.outbox, FakeDeadLetters(), self.hub, policies, self.clock)
        self.deadlines = Deadlines(self.store, self.outbox, self.hub, policies, Budget(), self.clock)
        self.commands = Commands(self.store, self.sender, self.hub, policies, self.clock)
        self.devices = Devices(self.store, self.deadlines, self.clock)
        self.seen = SeenRows(self.table, SHARDS)
        self.leaves = LeafRows(self.table, SHARDS)
        self.containment = Containment(
            self.store,
            self.outbox,
            wrap("hub", self.hub),
            wrap("dps", self.provisioning),
            self.clock,
            LOOK,
            self.seen,
            self.leaves,
            wrap("adr", self.registry) if self.registry else None,
            purges=self.purges,
        )

    async def issue(self, *device_ids: str) -> None:
        """Devices in use, each with a certificate of 30 days."""
        for device_id in device_ids:
            self.hub.add(device_id, connected=True)
        events = [
            twin_event({"certificate": claim(thumbprint=f"{n:064x}")}, device_id=d, sequence=n, at=self.clock.now())
            for n, d in enumerate(device_ids, start=1)
        ]
        await self.recording.record_hub_events(events)

    async def import_leaf(self, device_id: str, pem: str) -> None:
        """An inventory says by which certificate the device comes in."""
        until = self.clock.now() + 30 * DAY
        await self.leaves.put([Leaf(registration_id=device_id, thumbprint="ff" * 32, valid_until=until, pem=pem)])

    async def report_onboarding(self, device_id: str, pem: str) -> None:
        """The device says by which certificate it comes in."""
        at = self.clock.now()
        report = {"onboarding": {"thumbprint": None, "validUntil": None, "pem": pem}}
        event = twin_event(report, device_id=device_id, version=3, sequence=90, at=at)
        await self.recording.record_hub_events([event])

    async def record(self, device_id: str = "dev-1") -> DeviceRecord:
        stored = await self.store.load(device_id)
        assert stored is not None
        return stored.record

    async def progress(self, device_id: str = "dev-1") -> Progress:
        """How far the device is shut out."""
        containment = (await self.record(device_id)).containment
        assert containment is not None
        return containment

    async def work(self) -> None:
        """What the queue holds, each message once."""
        waiting, self.queue.messages = self.queue.messages, []
        for message in waiting:
            await self.containment.advance(message)

    async def pass_time(self, span: timedelta = 6 * LOOK) -> None:
        """The timer ticks every minute, and the queue is worked off."""
        for _ in range(span // timedelta(minutes=1)):
            await self.work()
            self.clock.advance(timedelta(minutes=1))
            await self.deadlines.sweep()
        await self.work()

    async def history(self, device_id: str = "dev-1") -> list[str]:
        """The kinds of what happened, the oldest first."""
        rows = await self.store.history(device_id, 100)
        return [str(row.values["kind"]) for row in reversed(rows)]

    async def entry(self, kind: str, device_id: str = "dev-1") -> dict[str, str]:
        """The newest entry of a kind, with its details."""
        import json

        rows = await self.store.history(device_id, 100)
        values = next(row.values for row in rows if row.values["kind"] == kind)
        return {name: str(values[name]) for name in ("actor", "reason")} | json.loads(str(values["details"]))
