"""The fleet in gauges: from what is stored, with zeros, and again each time that somebody looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from support.fakes import NOON, FakeAlerts, FakeClock, FakeTable
from support.measuring import Note, measured

from fleetcert.certificates import CertificateAuthority, pem_chain
from shared import labels, telemetry
from shared.adapters.exporting import CHANGES, ONCE
from shared.domain.ca_watch import ListedCertificate, Source
from shared.domain.keys import FLEET_PARTITION, shard_of
from shared.domain.policy import RenewalPolicy
from shared.domain.record import Actor, BlockState, Certificate, Containment, DeviceRecord, Evidence, State
from shared.services.containment_watch import ContainmentWatch
from shared.services.fleet_gauges import FleetGauges
from shared.services.issuers import IssuerWatch
from shared.services.ports import Row, Write
from shared.services.rows import Change, writes
from shared.services.seen import SeenRows
from shared.services.snapshots import Snapshots
from shared.services.store import FleetStore
from shared.services.sweeps import HEARTBEAT

SHARDS = 4
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@dataclass
class Listed:
    """A list of CA certificates in Azure."""

    ages: Sequence[timedelta]

    async def listed(self) -> Sequence[ListedCertificate]:
        return [self._one(age) for age in self.ages]

    def _one(self, age: timedelta) -> ListedCertificate:
        key = ec.generate_private_key(ec.SECP256R1())
        begun = NOON - age
        ca = CertificateAuthority.create_root("ca", key, not_before=begun, not_after=begun + 100 * DAY)
        return ListedCertificate(name=f"{age.days}", pem=pem_chain([ca.certificate]).decode(), policy="p")


@dataclass
class World:
    """A fleet in a table."""

    table: FakeTable = field(default_factory=FakeTable)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.gauges = FleetGauges(self.table)
        self.watch = ContainmentWatch(SeenRows(self.table, SHARDS))
        store = FleetStore(self.table, SHARDS)
        self.snapshots = Snapshots(store, self.table, self.clock, RenewalPolicy(), validity=30 * DAY)

    async def add(self, device_id: str, state: State, **changes: Any) -> None:
        """A device whose certificate has as many days left as its id has letters."""
        end = NOON + len(device_id) * DAY
        certificate = Certificate(
            identity=device_id,
            valid_from=end - 30 * DAY,
            valid_until=end,
            evidence=Evidence.REPORTED,
            first_seen=NOON,
        )
        record = DeviceRecord(
            device_id=device_id,
            registration_id=device_id,
            hub="hub-1",
            first_seen=NOON,
            updated_at=NOON,
            state=state,
            certificate=certificate,
            **changes,
        )
        partition = shard_of(device_id, SHARDS)
        await self.table.commit(partition, writes(partition, Change(None, record)))


def contained(**changes: Any) -> Containment:
    return Containment(actor=Actor(name="ann"), reason="stolen", requested_at=NOON, **changes)


def by(noted: list[Note], metric: telemetry.Metric) -> dict[str, float]:
    """The values of a gauge by its one attribute, "" where it has none."""
    return {"".join(map(str, attributes.values())): value for name, value, attributes in noted if name == metric.name}


async def test_states_and_times_left_are_those_of_the_last_snapshot_and_the_others_zero(noted: list[Note]):
    world = World()
    await world.add("abc", State.OVERDUE)
    await world.add("abcdefgh", State.VALID)
    await world.add("b", State.DISABLED)
    await world.snapshots.run()
    await world.gauges.report()
    assert by(noted, telemetry.CERTIFICATES) == {
        **dict.fromkeys(labels.known("state") or (), 0),
        "overdue": 1,
        "valid": 1,
        "disabled": 1,
    }
    assert by(noted, telemetry.EXPIRING) == {
        **dict.fromkeys(labels.known("within") or (), 0),
        "1d": 1,
        "7d": 1,
        "30d": 1,
    }
    assert by(noted, telemetry.EARLIEST_EXPIRY) == {"": (NOON + 3 * DAY).timestamp()}, "of those in use"
    assert by(noted, telemetry.SNAPSHOT_TAKEN) == {"": NOON.timestamp()}


async def test_before_the_first_snapshot_no_count_is_reported_and_no_end_of_an_empty_fleet(noted: list[Note]):
    world = World()
    await world.gauges.report()
    assert by(noted, telemetry.CERTIFICATES) == {}
    await world.snapshots.run()
    await world.gauges.report()
    assert set(by(noted, telemetry.CERTIFICATES).values()) == {0}
    assert by(noted, telemetry.EARLIEST_EXPIRY) == {}


async def test_who_is_being_shut_out_is_counted_as_it_is_now(noted: list[Note]):
    world = World()
    await world.watch.look()
    assert by(noted, telemetry.CONTAINMENT_IN_PROGRESS) == by(noted, telemetry.CONTAINMENT_UNVERIFIED) == {"": 0}
    await world.add("begun", State.DISABLED, containment=contained())
    await world.add("blocked", State.DISABLED, containment=contained(block=BlockState.BLOCKED))
    await world.add("done", State.DISABLED, containment=contained(block=BlockState.BLOCKED, disconnected_at=NOON))
    unproven = contained(block=BlockState.BLOCKED_UNVERIFIED, disconnected_at=NOON)
    await world.add("unproven", State.DISABLED, containment=unproven)
    await world.watch.look()
    assert by(noted, telemetry.CONTAINMENT_IN_PROGRESS) == {"": 2}
    assert by(noted, telemetry.CONTAINMENT_UNVERIFIED) == {"": 1}


async def test_of_ca_certificates_the_first_end_of_those_that_are_current_counts(noted: list[Note]):
    world = World()
    lists = {Source.HUB: Listed([90 * DAY, 20 * DAY]), Source.DPS: Listed([5 * DAY])}
    await IssuerWatch(world.table, lists, FakeAlerts(), world.clock).poll()
    await world.gauges.report()
    ends = {"hub": (NOON + 80 * DAY).timestamp(), "dps": (NOON + 95 * DAY).timestamp()}
    assert by(noted, telemetry.ISSUERS_EARLIEST_EXPIRY) == ends, "the older of a policy's is replaced"


async def test_the_heartbeat_is_told_as_an_instant(noted: list[Note]):
    world = World()
    row = Row(FLEET_PARTITION, HEARTBEAT, {"lastSuccess": NOON - HOUR})
    await world.table.commit(FLEET_PARTITION, [Write("upsert", row)])
    await world.gauges.report()
    assert by(noted, telemetry.SWEEP_LAST_SUCCESS) == {"": (NOON - HOUR).timestamp()}


async def test_where_nobody_measures_nothing_is_read():
    world = World()
    await world.gauges.report()
    assert world.table.reads == 0


@pytest.mark.parametrize("temporality", [ONCE, CHANGES], ids=["otlp", "application-insights"])
async def test_a_gauge_that_nobody_sets_any_more_is_exported_no_more(temporality: Any):
    reader = InMemoryMetricReader(preferred_temporality=temporality)
    telemetry.connect(MeterProvider([reader]))
    try:
        telemetry.note(telemetry.SWEEP_AGE, 7)
        assert measured(reader) == {"fleetcert.sweep.age": [(7, {})]}
        assert measured(reader) == {}, "an instance that has stopped looking must not vouch for the fleet"
        telemetry.note(telemetry.SWEEP_AGE, 7)
        assert measured(reader) == {"fleetcert.sweep.age": [(7, {})]}
    finally:
        telemetry.disconnect()
