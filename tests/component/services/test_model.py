"""Months of a fleet's life on real storage, with crashes on the way, against a model of ten lines."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.events import DAY, claim, dps_event, dps_record, lifecycle_event, onboarding_pem, twin_event
from support.fakes import FakeSender, FakeTable
from support.faults import killed
from support.model import ANN, MINUTE, Backend, Cloud, check_invariants

from shared.adapters.table import AzureTable
from shared.contracts import RenewCertificate, format_instant
from shared.domain.alerts import Alert
from shared.domain.envelope import Envelope
from shared.domain.record import State
from shared.errors import CommandRefused
from shared.services.ports import Table

LIFETIME = 12 * DAY
WINDOW = LIFETIME / 3
NAMES = ["dev-1", "dev-2", "d:3#?!='"]
ASKED = {State.DISPATCHING, State.COMMANDED}

type Step = tuple[str, int, int]


@dataclass
class Device:
    """A device as it is, whatever anybody knows of it."""

    name: str
    hub: str = "hub-1"
    alive: bool = False
    contained: bool = False
    version: int = 1
    ends: list[datetime] = field(default_factory=list)

    def thumbprint(self) -> str:
        return f"{NAMES.index(self.name)}{len(self.ends):063x}"


def expected(device: Device, now: datetime) -> set[State]:
    """The reference: what a device must be at an instant, and nothing of how that comes about."""
    if not device.alive:
        return {State.RETIRED}
    if device.contained:
        return {State.DISABLED}
    left = device.ends[-1] - now
    if left <= timedelta():
        return {State.EXPIRED}
    if left <= WINDOW / 2:
        return {State.OVERDUE}
    if left <= WINDOW * 3 / 4:
        return ASKED
    return {State.VALID} | (ASKED if left <= WINDOW else set())


class HubSender(FakeSender):
    """IoT Hub takes messages for devices that it knows and lets in."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__()
        self._hub = cloud.hub

    async def send(self, command: RenewCertificate, expires: datetime) -> None:
        identity = self._hub.identities.get(command.device_id)
        if identity is None or identity.status == "disabled":
            raise CommandRefused("unreachable", "404001")
        await super().send(command, expires)


class Fleet:
    """Devices that live, and the back end that hears of it."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.cloud = backend.cloud
        self.devices = [Device(name) for name in NAMES]
        self.batches: list[list[Envelope]] = []

    @property
    def now(self) -> datetime:
        return self.cloud.clock.now()

    async def take(self, step: Step) -> None:
        """One step: (what, which device, how much)."""
        what, which, amount = step
        self.cloud.clock.advance(MINUTE)
        await getattr(self, what)(self.devices[which % len(NAMES)], amount)

    async def wait(self, _: Device, amount: int) -> None:
        await self.backend.run_until(self.now + amount * DAY / 2)

    async def renew(self, device: Device, _: int) -> None:
        """The device gets a certificate, for a reason of its own or none."""
        if not device.alive:
            return await self.create(device, 0)
        device.ends.append(self.now.replace(microsecond=0) + LIFETIME)
        device.version += 1
        said = claim(self.now, LIFETIME, thumbprint=device.thumbprint())
        event = self._twin(device, {"certificate": said})
        self.cloud.hub.twins[device.name] = {
            "properties": {
                "reported": {
                    "certificate": said,
                    "$version": device.version,
                    "$metadata": {"$lastUpdated": format_instant(self.now)},
                }
            }
        }
        return await self._hear(event)

    async def obey(self, device: Device, _: int) -> None:
        """The device renews where a command for its present certificate has come."""
        sent = {c.thumbprint for c, _ in self.cloud.sender.sent if c.device_id == device.name}
        if device.alive and device.thumbprint() in sent:
            await self.renew(device, 0)

    async def obey_all(self, _: Device, amount: int) -> None:
        for device in self.devices:
            await self.obey(device, amount)

    async def create(self, device: Device, _: int) -> None:
        """An identity, a registration and the first report, told out of order by the two event hubs."""
        if device.alive or device.contained:
            return
        device.alive, device.version = True, 1
        self.cloud.hub.add(device.name)
        await self._hear(lifecycle_event("createDeviceIdentity", **self._where(device)))
        self.cloud.clock.advance(MINUTE)
        await self.renew(device, 0)
        await self.register(device, 0)

    async def register(self, device: Device, _: int) -> None:
        if device.alive and not device.contained:
            await self._hear(dps_event(dps_record(device.name), sequence=len(self.batches), at=self.now))

    async def delete(self, device: Device, _: int) -> None:
        if device.alive and not device.contained:
            device.alive = False
            del self.cloud.hub.identities[device.name], self.cloud.hub.twins[device.name]
            await self._hear(lifecycle_event("deleteDeviceIdentity", **self._where(device)))

    async def move(self, device: Device, _: int) -> None:
        """To another hub, and then deleted in the old one."""
        if not device.alive or device.contained:
            return
        left = lifecycle_event("deleteDeviceIdentity", **self._where(device))
        device.hub, device.version = f"hub-{len(self.batches)}", 1
        await self.renew(device, 0)
        await self._hear(left)

    async def disable(self, device: Device, _: int) -> None:
        if device.alive:
            device.contained = True
            call = self.backend.containment
            await self.backend.insist(lambda: call.disable(device.name, ANN, "stolen", onboarding_pem(device.name)))

    async def replay(self, _: Device, amount: int) -> None:
        """A checkpoint was lost."""
        for batch in self.batches[-amount:]:
            await self.backend.hear(batch)

    async def crash(self, _: Device, amount: int) -> None:
        """The process will die at one of its next calls."""
        faults = self.backend.faults
        faults.answer, faults.at = killed, len(faults.calls) + amount
        faults.moment = "before" if amount % 2 else "after"

    async def check(self) -> None:
        """What the table says is what the model says, and nobody was told or asked anything twice."""
        rows = await self.cloud.rows()
        check_invariants(rows)
        records = await self.cloud.records()
        for device in self.devices:
            record = records.get(device.name)
            if record is None:
                assert not device.ends
                continue
            assert record.state in expected(device, self.now) | expected(device, self.now - 5 * MINUTE), record
            if device.alive:
                assert record.certificate is not None
                assert record.certificate.valid_until == device.ends[-1]
        told = Counter((a.type, a.subject, a.data.get("thumbprint"), a.data.get("level")) for a in _once(self.cloud))
        assert all(count == 1 for count in told.values()), told
        assert self.cloud.commands.poison == self.cloud.containment.poison == []

    async def _hear(self, event: Envelope) -> None:
        self.batches.append([event])
        await self.backend.hear([event])

    def _twin(self, device: Device, reported: dict[str, object]) -> Envelope:
        return twin_event(reported, version=device.version, **self._where(device))

    def _where(self, device: Device) -> dict[str, object]:
        return {"sequence": len(self.batches), "device_id": device.name, "hub": device.hub, "at": self.now}


def _once(cloud: Cloud) -> list[Alert]:
    return list({alert.id: alert for alert in cloud.alerts.sent}.values())


async def _live(table: Table, steps: Sequence[Step], every: int = 1) -> Fleet:
    cloud = Cloud(table=table)
    cloud.sender = HubSender(cloud)
    fleet = Fleet(Backend(cloud))
    for device in fleet.devices:
        await fleet.create(device, 0)
    for number, step in enumerate(steps, start=1):
        await fleet.take(step)
        await fleet.take(("wait", 0, 1))
        if number % every == 0:
            await fleet.check()
    await fleet.check()
    return fleet


async def _live_on_azurite(connection: str, steps: Sequence[Step]) -> Fleet:
    table = AzureTable.from_connection_string(connection, f"t{secrets.token_hex(8)}")
    try:
        return await _live(table, steps, every=6)
    finally:
        await table.close()


WHAT = ["wait", "wait", "wait", "obey", "obey", "renew", "create", "register", "delete", "move", "disable", "replay"]
lives = st.lists(
    st.tuples(st.sampled_from([*WHAT, "crash", "crash"]), st.integers(0, 2), st.integers(1, 12)),
    min_size=20,
    max_size=40,
)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(lives)
def test_whatever_a_fleet_lives_through_its_records_say_what_the_model_says(steps: list[Step]) -> None:
    """In memory: many lives, and the shortest one that fails."""
    asyncio.run(_live(FakeTable(), steps))


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(lives)
def test_on_real_storage_the_records_say_what_the_model_says_too(storage: str, steps: list[Step]) -> None:
    asyncio.run(_live_on_azurite(storage, steps))


def test_a_quarter_of_a_year_of_an_obedient_fleet_ends_with_every_device_valid(storage: str) -> None:
    steps = [step for _ in range(30) for step in [("wait", 0, 4), ("obey_all", 0, 1)]]
    fleet = asyncio.run(_live_on_azurite(storage, steps))
    assert all(len(device.ends) >= 7 for device in fleet.devices)
    ids = [command.command_id for command, _ in fleet.cloud.sender.sent]
    assert len(ids) == len(set(ids))
    assert {alert.data.get("level") for alert in fleet.cloud.alerts.sent} <= {None, "due", "warning"}
