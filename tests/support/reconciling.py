"""An existing fleet behind fakes, and `reconcile` over it, for tests."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from support.events import DAY, claim
from support.fakes import NOON, FakeAlerts, FakeClock, FakeDeadLetters, FakeHub, FakeProvisioning, FakeQueue, FakeTable

from shared.contracts import format_instant
from shared.domain.changes import Policies
from shared.domain.inventory import EnrollmentGroup, Registration
from shared.domain.passes import Pass
from shared.domain.policy import BeliefPolicy
from shared.domain.record import DeviceRecord
from shared.errors import InfrastructureFault
from shared.services.containment import Containment
from shared.services.leaf_rows import LeafRows
from shared.services.outbox import Outbox
from shared.services.pass_rows import PassRows
from shared.services.reconciling import Pace, Reconciling
from shared.services.recording import Recording
from shared.services.repairing import Repairs
from shared.services.store import FleetStore

POLICIES = Policies(belief=BeliefPolicy(validity=30 * DAY))


def twin(
    device_id: str,
    reported: Mapping[str, Any] | None = None,
    *,
    version: int = 2,
    at: datetime = NOON - DAY,
    tags: Mapping[str, Any] | None = None,
    twin_version: int = 3,
    status: str = "enabled",
) -> dict[str, Any]:
    """A twin as IoT Hub's REST API gives it."""
    metadata = {"$lastUpdated": format_instant(at)}
    return {
        "deviceId": device_id,
        "etag": "AAAAAAAAAAE=",
        "status": status,
        "version": twin_version,
        "tags": dict(tags or {}),
        "properties": {
            "desired": {"$metadata": {}, "$version": 1},
            "reported": {**(reported or {}), "$metadata": metadata, "$version": version},
        },
    }


@dataclass
class FakeFleetQuery:
    """The hub's query: pages in the order of ids. `stale` stands in for the twins where the list lags behind them."""

    hub: FakeHub
    clock: FakeClock
    size: int = 1000
    stale: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    asked_at: list[datetime] = field(default_factory=list)
    answers: list[Exception | None] = field(default_factory=list)

    async def count(self) -> int:
        return len(self.hub.twins)

    async def page(self, continuation: str | None) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        self.asked_at.append(self.clock.now())
        if self.answers and (answer := self.answers.pop(0)) is not None:
            raise answer
        listed = {**self.hub.twins, **self.stale}
        ids = sorted(device_id for device_id in listed if device_id > (continuation or ""))
        page = ids[: self.size]
        return [listed[device_id] for device_id in page], page[-1] if len(ids) > self.size else None


@dataclass
class FakeEnrollmentGroups:
    """DPS's groups and their registrations."""

    groups: list[EnrollmentGroup] = field(default_factory=list)
    members: dict[str, list[Registration]] = field(default_factory=dict)
    alone: list[Registration] = field(default_factory=list)
    size: int = 1000

    async def list(self) -> Sequence[EnrollmentGroup]:
        return self.groups

    async def registrations(self, group: str, continuation: str | None) -> tuple[Sequence[Registration], str | None]:
        start = int(continuation or 0)
        members, end = self.members.get(group, []), start + self.size
        return members[start:end], str(end) if end < len(members) else None

    async def individuals(self, continuation: str | None) -> tuple[Sequence[Registration], str | None]:
        start = int(continuation or 0)
        end = start + self.size
        return self.alone[start:end], str(end) if end < len(self.alone) else None

    def add(self, group: str, *registrations: tuple[str, str], policy: str | None = "default") -> None:
        """A group with its (registration id, device id)."""
        self.groups.append(EnrollmentGroup(id=group, attestation="x509", credential_policy=policy))
        self.members[group] = [Registration(registration_id=r, device_id=d, hub="hub-1") for r, d in registrations]


class Breaking:
    """Stands before a port and breaks one call, by its place in all calls: before it is done, or after."""

    def __init__(self, target: Any, breaks: Callable[[], str | None]) -> None:
        self._target = target
        self._breaks = breaks

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if not inspect.ismethod(method):
            return method

        async def answer(*args: Any) -> Any:
            how = self._breaks()
            if how == "before":
                raise InfrastructureFault("test", f"{name} did not happen")
            result = await method(*args)
            if how == "after":
                raise InfrastructureFault("test", f"{name} happened, and its answer is lost")
            return result

        async def rows(*args: Any) -> Any:
            if self._breaks():
                raise InfrastructureFault("test", f"{name} did not happen")
            async for row in method(*args):
                yield row

        return rows if inspect.isasyncgenfunction(method) else answer


@dataclass
class Fleet:
    """A hub and a DPS full of devices, a table that may know them or not, and `reconcile`."""

    table: FakeTable = field(default_factory=FakeTable)
    alerts: FakeAlerts = field(default_factory=FakeAlerts)
    commands: FakeQueue = field(default_factory=FakeQueue)
    containment_queue: FakeQueue = field(default_factory=FakeQueue)
    hub: FakeHub = field(default_factory=FakeHub)
    provisioning: FakeProvisioning = field(default_factory=FakeProvisioning)
    groups: FakeEnrollmentGroups = field(default_factory=FakeEnrollmentGroups)
    clock: FakeClock = field(default_factory=FakeClock)
    dead_letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    pace: Pace = field(default_factory=Pace)
    paused: list[timedelta] = field(default_factory=list)
    breaks: Callable[[], str | None] = lambda: None

    def __post_init__(self) -> None:
        self.query = FakeFleetQuery(self.hub, self.clock)
        self.compose()

    def compose(self) -> None:
        """A new instance of the services: nothing but the table remembers."""

        def port(fake: Any) -> Any:
            return Breaking(fake, lambda: self.breaks())

        self.store = FleetStore(port(self.table), 4)
        outbox = Outbox(self.store, port(self.alerts), port(self.commands), port(self.containment_queue))
        hub, dps = port(self.hub), port(self.provisioning)
        self.leaves = LeafRows(port(self.table), 4)
        repairs = Repairs(self.store, outbox, hub, dps, POLICIES, self.clock, "hub-1", leaves=self.leaves)
        rows = PassRows(port(self.table))
        self.reconciling = Reconciling(
            self.store, rows, repairs, port(self.query), port(self.groups), self.pace, self.clock, self._pause
        )
        self.recording = Recording(self.store, outbox, self.dead_letters, hub, POLICIES, self.clock)
        self.containment = Containment(self.store, outbox, hub, dps, self.clock)

    async def _pause(self, duration: timedelta) -> None:
        self.paused.append(duration)
        self.clock.advance(duration)

    def add(self, *device_ids: str, **details: Any) -> None:
        """Devices that the hub has, each with a certificate of a day's age."""
        for number, device_id in enumerate(device_ids, len(self.hub.twins)):
            reported = {"certificate": claim(NOON - DAY, thumbprint=f"{number:064x}")}
            self.hub.add(device_id)
            self.hub.twins[device_id] = twin(device_id, reported, **details)

    async def run(self, ticks: int = 1000) -> Pass:
        """Ticks until the pass is finished."""
        for _ in range(ticks):
            outcome = await self.reconciling.step()
            assert outcome is not None
            if outcome.finished_at is not None:
                return outcome
            self.clock.advance(timedelta(minutes=1))
        raise AssertionError("the pass does not end")

    async def again(self) -> Pass:
        """Another pass, a day later."""
        self.clock.advance(DAY)
        return await self.run()

    async def record(self, device_id: str) -> DeviceRecord:
        stored = await self.store.load(device_id)
        assert stored is not None, f"{device_id} has no record"
        return stored.record
