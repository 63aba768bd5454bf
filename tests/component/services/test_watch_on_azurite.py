"""What is watched and told, on real storage: the rows come back as they were written."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from support.events import claim, twin_event
from support.fakes import NOON, FakeAlerts, FakeClock, FakeDeadLetters, FakeHub, FakeQueue

from fleetcert.certificates import CertificateAuthority, pem_chain
from shared.adapters.table import AzureTable
from shared.domain.ca_watch import ListedCertificate, Source
from shared.domain.changes import Policies
from shared.domain.fleet_alerts import FleetAlertType
from shared.domain.keys import FLEET_PARTITION, audit_range
from shared.domain.policy import RenewalPolicy
from shared.domain.record import Actor
from shared.errors import NotFound
from shared.services.deadlines import Deadlines, SweepOutcome
from shared.services.fleet_health import HealthWatch
from shared.services.issuers import IssuerWatch, TrustedIssuers, stored_issuers
from shared.services.outbox import Outbox
from shared.services.pauses import Pauses
from shared.services.recording import Recording
from shared.services.snapshots import Snapshots
from shared.services.store import FleetStore
from shared.services.summaries import Summaries
from shared.services.suppressions import Suppressions
from shared.services.sweeps import Sweeps

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
async def table(storage: str, fresh_name: str) -> AsyncIterator[AzureTable]:
    table = AzureTable.from_connection_string(storage, fresh_name)
    yield table
    await table.close()


async def test_a_suppression_comes_back_as_it_was_stored_and_ends(table: AzureTable) -> None:
    clock = FakeClock(NOON + timedelta(microseconds=1))
    suppressions = Suppressions(table, clock)
    ann = Actor(name="ann", object_id="o-1", app_id="a-1")
    stored = await suppressions.add(alert_type="*", device="tag:a=b!c", until=NOON + HOUR, actor=ann, reason="planned")
    assert await Suppressions(table, clock).current() == (stored,)
    clock.advance(HOUR)
    assert (await suppressions.current(), await suppressions.prune()) == ((), 1)


async def test_a_ruling_comes_back_as_it_was_stored_and_is_ended_once(table: AzureTable) -> None:
    clock, ann = FakeClock(NOON + timedelta(microseconds=1)), Actor(name="ann", object_id="o-1", app_id="a-1")
    pauses, suppressions = Pauses(table, clock), Suppressions(table, clock)
    pause = await pauses.pause(NOON + HOUR, ann, "DPS is down", "site=bern!")
    stored = await suppressions.add(alert_type="*", device="*", until=NOON + HOUR, actor=ann, reason="planned")
    assert (await pauses.standing(), await suppressions.standing()) == ((pause,), (stored,))
    assert await pauses.resume(ann, "it is up", "site=bern!")
    await suppressions.lift(stored.id, ann, "it is over")
    assert (await pauses.standing(), await suppressions.standing()) == ((), ())
    assert not await pauses.resume(ann, "it is up", "site=bern!")
    with pytest.raises(NotFound):
        await suppressions.lift(stored.id, ann, "it is over")
    waiting = [row async for row in table.scan(FLEET_PARTITION, *audit_range())]
    assert sorted(str(row.values["kind"]) for row in waiting) == [
        "alertsSuppressed",
        "renewalsPaused",
        "renewalsResumed",
        "suppressionLifted",
    ]


class OneAuthority:
    def __init__(self, age: timedelta = DAY) -> None:
        key = ec.generate_private_key(ec.SECP384R1())
        authority = CertificateAuthority.create_root(
            "an issuing CA", key, not_before=NOON - age, not_after=NOON + 6 * DAY
        )
        self.certificates = [ListedCertificate(name="ca", pem=pem_chain([authority.certificate]).decode())]

    async def listed(self) -> Sequence[ListedCertificate]:
        return self.certificates


async def test_an_issuer_comes_back_as_it_was_stored_and_is_told_once(table: AzureTable) -> None:
    authority, alerts, clock = OneAuthority(400 * DAY), FakeAlerts(), FakeClock()
    watch = IssuerWatch(table, {Source.HUB: authority}, alerts, clock)
    await watch.poll()
    [first] = await stored_issuers(table)
    assert (first.not_after, first.told, first.policy) == (NOON + 6 * DAY, ("180d", "30d", "7d"), None)
    assert await TrustedIssuers(table, clock).current() == (authority.certificates[0].pem,)
    clock.advance(HOUR)
    await watch.poll()
    assert alerts.types == [FleetAlertType.ISSUER_EXPIRING]
    authority.certificates = []
    await watch.poll()
    await watch.poll()
    assert alerts.types == [FleetAlertType.ISSUER_EXPIRING, FleetAlertType.ISSUER_ROTATED]


class FullSweeps:
    async def sweep(self) -> SweepOutcome:
        return SweepOutcome(examined=60, commands=50, over_budget=10, reasons=Counter({"OverBudget": 10}))


async def test_a_heartbeat_is_read_by_whoever_looks_after_the_fleet(table: AzureTable) -> None:
    alerts, clock = FakeAlerts(), FakeClock()
    sweeps = Sweeps(cast(Deadlines, FullSweeps()), table, alerts, clock)
    health = HealthWatch(table, [], alerts, Suppressions(table, clock), clock)
    for _ in range(17):
        await sweeps.sweep()
        clock.advance(timedelta(minutes=1))
    assert alerts.types == [FleetAlertType.SWEEP_AT_CAPACITY]
    assert (await health.look()).sweep_age == timedelta(minutes=1)


async def test_a_snapshot_counts_what_was_recorded(table: AzureTable) -> None:
    clock, store, policy = FakeClock(), FleetStore(table, 4), RenewalPolicy()
    outbox = Outbox(store, FakeAlerts(), FakeQueue(), FakeQueue())
    recording = Recording(store, outbox, FakeDeadLetters(), FakeHub(), Policies(), clock)
    names = [f"dev-{n}:#" for n in range(23)]
    await recording.record_hub_events(
        [twin_event({"certificate": claim()}, device_id=d, sequence=n) for n, d in enumerate(names)]
    )
    snapshots = Snapshots(store, table, clock, policy, validity=30 * DAY, step=5)
    tally = await snapshots.run()
    assert tally is not None
    assert (tally.total, tally.states, tally.expiry) == (23, {"valid": 23}, {"30d": 23})
    assert sum(count for _, count in tally.days_ahead()) == 23
    summary = await Summaries(store, table, clock).summary()
    assert (summary.snapshot, summary.due) == (tally, ())
    clock.advance(25 * DAY)
    summary = await Summaries(store, table, clock).summary()
    assert sorted(line.device_id for line in summary.due) == sorted(names)
    assert isinstance(summary.due[0].due_at, datetime)
