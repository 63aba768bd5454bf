"""Polling CA certificates: what is remembered, what is trusted, what is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from support.fakes import NOON, FakeAlerts, FakeClock, FakeTable

from fleetcert.certificates import CertificateAuthority, pem_chain
from shared.domain.ca_watch import DescribedCertificate, ListedCertificate, Source
from shared.domain.fleet_alerts import FleetAlertType
from shared.errors import InfrastructureFault
from shared.services.issuers import IssuerWatch, TrustedIssuers

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def ca(name: str, age: timedelta = 10 * DAY, *, policy: str | None = "p", verified: bool = True) -> ListedCertificate:
    key = ec.generate_private_key(ec.SECP256R1())
    authority = CertificateAuthority.create_root(name, key, not_before=NOON - age, not_after=NOON + 1800 * DAY)
    text = pem_chain([authority.certificate]).decode()
    return ListedCertificate(name=name, pem=text, policy=policy, is_verified=verified)


@dataclass
class FakeList:
    certificates: list[ListedCertificate | DescribedCertificate] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)

    async def listed(self) -> Sequence[ListedCertificate | DescribedCertificate]:
        if self.faults:
            raise self.faults.pop(0)
        return self.certificates


@dataclass
class World:
    table: FakeTable = field(default_factory=FakeTable)
    alerts: FakeAlerts = field(default_factory=FakeAlerts)
    clock: FakeClock = field(default_factory=FakeClock)
    hub: FakeList = field(default_factory=FakeList)
    dps: FakeList = field(default_factory=FakeList)

    def __post_init__(self) -> None:
        lists = {Source.HUB: self.hub, Source.DPS: self.dps}
        self.watch = IssuerWatch(self.table, lists, self.alerts, self.clock)
        self.trusted = TrustedIssuers(self.table, self.clock)

    async def poll_later(self) -> None:
        self.clock.advance(HOUR)
        await self.watch.poll()


OLD, NEW, ONBOARDING = ca("old"), ca("new", DAY), ca("onboarding", policy=None)


@pytest.fixture
def world() -> World:
    return World(hub=FakeList([OLD]), dps=FakeList([ONBOARDING]))


async def test_the_hubs_ca_certificates_are_trusted_and_those_of_dps_sign_no_operational_certificate(world: World):
    poll = await world.watch.poll()
    assert (poll.listed, poll.new, poll.alerts) == (2, 2, 0)
    assert await world.trusted.current() == (OLD.pem,)


async def test_before_the_first_poll_only_what_is_configured_is_trusted(world: World):
    assert await world.trusted.current() == ()
    configured = TrustedIssuers(world.table, world.clock, (OLD.pem + NEW.pem).replace("\n", "\\n"))
    assert await configured.current() == (OLD.pem, NEW.pem)


async def test_a_rotated_ca_certificate_stays_trusted_as_long_as_the_hub_lists_it(world: World):
    await world.watch.poll()
    world.hub.certificates = [OLD, NEW]
    await world.poll_later()
    assert set(await world.trusted.current()) == {OLD.pem, NEW.pem}
    world.hub.certificates = [NEW]
    await world.poll_later()
    assert await world.trusted.current() == (NEW.pem,)
    assert world.alerts.types == [FleetAlertType.ISSUER_ROTATED] * 2


async def test_what_is_trusted_is_remembered_for_five_minutes(world: World):
    await world.watch.poll()
    await world.trusted.current()
    world.hub.certificates = []
    world.clock.advance(timedelta(minutes=4))
    await world.watch.poll()
    assert await world.trusted.current() == (OLD.pem,)
    world.clock.advance(timedelta(minutes=1))
    assert await world.trusted.current() == ()


async def test_a_ca_certificate_whose_possession_was_not_proved_signs_for_nobody(world: World):
    world.hub.certificates = [ca("uploaded", policy=None, verified=False), ca("adrs", verified=False)]
    poll = await world.watch.poll()
    assert poll.listed == 2, "ADR's and that of DPS"


async def test_a_list_that_cannot_be_had_changes_nothing(world: World):
    await world.watch.poll()
    before = dict(world.table.rows)
    world.dps.faults = [InfrastructureFault("ARM", "down")]
    with pytest.raises(InfrastructureFault):
        await world.poll_later()
    assert world.table.rows == before
    assert world.alerts.sent == []


async def test_an_alert_that_could_not_leave_is_told_at_the_next_poll(world: World):
    await world.watch.poll()
    world.hub.certificates = []
    world.alerts.faults = [InfrastructureFault("event grid", "down")]
    with pytest.raises(InfrastructureFault):
        await world.poll_later()
    await world.poll_later()
    await world.poll_later()
    assert world.alerts.types == [FleetAlertType.ISSUER_ROTATED]


async def test_who_dies_between_telling_and_storing_tells_again_under_the_same_id(world: World):
    await world.watch.poll()
    world.hub.certificates = []
    world.table.faults = [InfrastructureFault("table", "down")]
    with pytest.raises(InfrastructureFault):
        await world.poll_later()
    await world.poll_later()
    one, again = world.alerts.sent
    assert one.id == again.id


async def test_many_ca_certificates_are_stored_in_transactions_that_storage_takes(world: World):
    world.hub.certificates = [ca(f"ca-{n}", policy=f"p{n}") for n in range(120)]
    await world.watch.poll()
    assert len(world.table.keys("issuer!")) == 121


async def test_the_end_of_a_groups_own_signing_certificate_is_told_and_it_signs_for_no_device(world: World) -> None:
    described = DescribedCertificate(
        name="fleet/primary", thumbprint="ab" * 32, subject="CN=signing", not_before=NOON, not_after=NOON + 800 * DAY
    )
    groups = FakeList([described])
    watch = IssuerWatch(world.table, {Source.GROUP: groups}, world.alerts, world.clock)
    await watch.poll()
    world.clock.advance(775 * DAY)
    await watch.poll()
    [alert] = world.alerts.sent
    assert (alert.type, alert.data["level"]) == (FleetAlertType.ISSUER_EXPIRING, "30d")
    assert (alert.data["name"], alert.data["listedAt"]) == ("fleet/primary", "enrollment-group")
    assert await world.trusted.current() == ()
