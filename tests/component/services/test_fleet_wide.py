"""What rules beyond one device: pauses, windows, rotated issuers, strangers, registration ids of another name."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from support.events import DAY, ISSUER, STRANGER, claim, device_pem, dps_event, dps_record, twin_event
from support.fakes import (
    NOON,
    FakeAlerts,
    FakeClock,
    FakeDeadLetters,
    FakeHub,
    FakeQueue,
    FakeTable,
)

from fleetcert.certificates import CertificateAuthority, pem_chain
from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.changes import Policies, Reduction
from shared.domain.policy import BeliefPolicy
from shared.domain.record import Actor, DeviceRecord, Evidence, State
from shared.errors import InfrastructureFault, NotPossible, SettingsError
from shared.services.deadlines import Deadlines
from shared.services.devices import Devices
from shared.services.fleet_circumstances import FleetCircumstances, key_identifier, read_windows
from shared.services.issuers import TrustedIssuers
from shared.services.ledger import Ledger
from shared.services.outbox import Outbox
from shared.services.pacing import Budget
from shared.services.ports import Row, Write
from shared.services.recording import Recording
from shared.services.rotation import Rotation
from shared.services.store import TRANSACTION_BYTES, FleetStore
from shared.services.strangers import IDS_KEPT, Strangers

ANN = Actor(name="ann")
HOUR = timedelta(hours=1)


class World:
    def __init__(self, windows: str | None = None, configured: str = "", per_minute: int = 120) -> None:
        self.table, self.alerts, self.clock, self.hub = FakeTable(), FakeAlerts(), FakeClock(), FakeHub()
        policies = Policies(belief=BeliefPolicy(validity=30 * DAY))
        self.store = FleetStore(self.table, 4)
        outbox = Outbox(self.store, self.alerts, FakeQueue(), FakeQueue())
        self.strangers = Strangers(self.table, self.alerts, self.clock)
        issuers = TrustedIssuers(self.table, self.clock, configured)
        self.recording = Recording(
            self.store, outbox, FakeDeadLetters(), self.hub, policies, self.clock, self.strangers, issuers
        )
        self.circumstances = FleetCircumstances(self.table, read_windows(windows, "Europe/Zurich"), self.clock)
        budget = Budget(per_minute)
        self.ledger = Ledger(self.table, budget)
        self.deadlines = Deadlines(
            self.store, outbox, self.hub, policies, budget, self.clock, self.circumstances, self.ledger
        )
        self.devices = Devices(self.store, self.deadlines, self.clock)
        self.rotation = Rotation(self.store, self.table, self.circumstances, budget, self.clock)

    async def record(self, device_id: str = "dev-1") -> DeviceRecord:
        stored = await self.store.load(device_id)
        assert stored is not None
        return stored.record

    async def issue(self, device_id: str = "dev-1", pem: str | None = None, sequence: int = 1) -> None:
        event = twin_event({"certificate": claim(thumbprint=None, pem=pem)}, device_id=device_id, sequence=sequence)
        await self.recording.record_hub_events([event])

    async def to_the_window(self) -> None:
        due = (await self.record()).due_at
        assert due is not None
        self.clock.advance(due - self.clock.now())

    def history(self) -> list[tuple[str, str]]:
        """Kind and reason of every change, in no order."""
        rows = [row for (_, key), row in self.table.rows.items() if key.startswith("history!")]
        return [(str(row.values["kind"]), str(row.values["reason"])) for row in rows]

    async def list_issuer(self, certificate: x509.Certificate, state: str) -> None:
        values = {
            "source": "hub",
            "name": "n",
            "policy": "",
            "subject": certificate.subject.rfc4514_string(),
            "pem": pem_chain([certificate]).decode(),
            "notBefore": certificate.not_valid_before_utc,
            "notAfter": certificate.not_valid_after_utc,
            "firstSeen": NOON,
            "lastSeen": NOON,
            "state": state,
            "told": "",
        }
        key = f"issuer!{certificate.fingerprint(certificate.signature_hash_algorithm or _none()).hex()}"
        await self.table.commit("fleet", [Write("upsert", Row("fleet", key, values))])


def _none() -> None:
    raise AssertionError("a certificate has a signature hash")


async def test_a_pause_holds_the_fleets_commands_until_it_is_lifted() -> None:
    world = World()
    await world.issue()
    await world.to_the_window()
    await world.circumstances.pause(world.clock.now() + HOUR, ANN, "DPS is down")
    await world.deadlines.sweep()
    assert (await world.record()).reason == reasons.PAUSED
    await world.circumstances.resume(ANN, "it is up again")
    world.clock.advance(HOUR)
    await world.deadlines.sweep()
    assert (await world.record()).state is State.DISPATCHING


async def test_a_pause_of_a_tag_holds_the_tagged_alone() -> None:
    world = World()
    await world.issue()
    await world.store.update(["dev-1"], lambda _, r: r and Reduction(replace(r, tags={"site": "bern"})))
    await world.to_the_window()
    await world.circumstances.pause(world.clock.now() + HOUR, ANN, "x", "site=basel")
    await world.deadlines.sweep()
    assert (await world.record()).state is State.DISPATCHING


@pytest.mark.parametrize(("shift", "reason", "tag"), [(-HOUR, "x", None), (HOUR, " ", None), (HOUR, "x", "bern")])
async def test_a_pause_needs_an_end_a_reason_and_a_whole_tag(shift: timedelta, reason: str, tag: str | None) -> None:
    world = World()
    with pytest.raises(NotPossible):
        await world.circumstances.pause(NOON + shift, ANN, reason, tag)


async def test_commands_leave_in_the_maintenance_window_of_the_time_zone() -> None:
    world = World("0 2 * * 6 for PT4H")
    await world.issue()
    await world.to_the_window()
    await world.deadlines.sweep()
    record = await world.record()
    assert record.reason == reasons.WAITS_FOR_WINDOW
    assert record.next_deadline == datetime(2026, 12, 19, 1, 0, tzinfo=UTC)  # Saturday, 2 o'clock in Zurich
    world.clock.advance(record.next_deadline - world.clock.now())
    await world.deadlines.sweep()
    assert (await world.record()).state is State.DISPATCHING


async def test_a_window_that_is_open_already_counts() -> None:
    world = World("0 2 * * * for PT23H")
    await world.issue()
    await world.to_the_window()
    await world.deadlines.sweep()
    assert (await world.record()).state is State.DISPATCHING


@pytest.mark.parametrize("text", ["0 2 * * 6", "nonsense for PT4H", "0 2 * * 6 for 4h", "0 2 * * 6 for P30D"])
def test_a_window_that_cannot_be_read_names_its_setting(text: str) -> None:
    with pytest.raises(SettingsError, match="MAINTENANCE_WINDOWS"):
        read_windows(text, "UTC")


def test_a_time_zone_that_nobody_knows_names_its_setting() -> None:
    with pytest.raises(SettingsError, match="MAINTENANCE_TIME_ZONE"):
        read_windows("0 2 * * 6 for PT4H", "Mars/Olympus")


async def test_a_rotated_issuers_devices_are_brought_forward_at_the_fleets_pace() -> None:
    world = World()
    for n in range(6):
        issuer = {"issuer": STRANGER} if n % 2 else {}
        await world.issue(f"dev-{n}", device_pem(f"dev-{n}", **issuer), n)
    await world.list_issuer(ISSUER, "rotated")
    world.clock.advance(HOUR)
    assert await world.rotation.step() == 3
    assert await world.rotation.step() == 0
    deadlines = {n: (await world.record(f"dev-{n}")).next_deadline for n in range(6)}
    near = sorted(d for d in deadlines.values() if d is not None and d < NOON + DAY)
    assert near == [NOON + HOUR + timedelta(seconds=s) for s in (0, 1, 2)]
    world.clock.advance(timedelta(seconds=3))
    outcome = await world.deadlines.sweep()
    assert outcome.commands == 3


async def test_a_command_for_a_rotated_issuer_says_so_in_the_devices_history() -> None:
    world = World()
    await world.issue("dev-1", device_pem("dev-1"))
    await world.list_issuer(ISSUER, "rotated")
    await world.rotation.step()
    await world.deadlines.sweep()
    assert (reasons.HISTORY_COMMANDED, reasons.ISSUER_ROTATED) in world.history()


async def test_a_device_whose_issuer_is_revoked_has_that_in_its_history_once() -> None:
    world = World()
    await world.issue("dev-1", device_pem("dev-1"))
    await world.list_issuer(ISSUER, "gone")
    await world.rotation.step()
    await world.deadlines.sweep()
    for _ in range(3):
        world.clock.advance(DAY)
        await world.deadlines.sweep()
    assert (await world.record()).reason == reasons.ISSUER_REVOKED
    assert world.history().count((reasons.HISTORY_ISSUER_REVOKED, reasons.ISSUER_REVOKED)) == 1
    assert reasons.HISTORY_COMMANDED not in dict(world.history())


async def test_certificates_of_the_hubs_own_issuers_are_verified() -> None:
    world = World(configured=pem_chain([ISSUER]).decode())
    await world.issue("dev-1", device_pem("dev-1"))
    await world.issue("dev-2", device_pem("dev-2", issuer=STRANGER), 2)
    evidence = [(await world.record(d)).certificate for d in ("dev-1", "dev-2")]
    assert [c.evidence for c in evidence if c] == [Evidence.VERIFIED, Evidence.PARSED]
    assert AlertType.CERTIFICATE_EVIDENCE_MISMATCH in world.alerts.types


def test_a_cas_key_is_the_one_that_its_leaves_name() -> None:
    leaf = x509.load_pem_x509_certificate(device_pem("dev-1").encode())
    named = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert named is not None
    assert key_identifier(pem_chain([ISSUER]).decode()) == named.hex()
    other = CertificateAuthority.create_root(
        "issuing CA", ec.generate_private_key(ec.SECP384R1()), not_before=NOON, not_after=NOON + DAY
    )
    assert key_identifier(pem_chain([other.certificate]).decode()) != named.hex()


async def test_ten_thousand_strangers_leave_one_row_an_hour_and_one_digest() -> None:
    world = World()
    for batch in range(100):
        records = [dps_record(f"x{batch}-{n}", "ClientError") for n in range(100)]
        await world.recording.record_dps_events([dps_event({"records": records}, sequence=batch)])
    assert [key.split("!")[0] for key in world.table.keys("")] == ["count"]
    assert await world.strangers.tell() == 0
    world.clock.advance(HOUR)
    assert await world.strangers.tell() == 1
    [alert] = world.alerts.sent
    assert (alert.type, alert.data["count"]) == (AlertType.DEVICE_REGISTRATION_FAILED, "10000")
    assert len(json.loads(alert.data["ids"] or "")) == IDS_KEPT
    assert world.table.keys("") == []


async def test_a_registration_under_another_name_finds_its_device() -> None:
    world = World()
    await world.issue("dev-1")
    await world.store.remember_registration("REG-7", "dev-1")
    await world.recording.record_dps_events([dps_event(dps_record("reg-7"), at=NOON + DAY)])
    assert (await world.record("dev-1")).registration_seen_at == NOON + DAY
    assert await world.store.load("reg-7") is None


async def test_a_transaction_stays_below_its_limit_of_bytes() -> None:
    world = World()
    sizes: list[int] = []
    commit = world.table.commit

    async def measured(partition: str, writes: list[Write]) -> dict[str, str]:
        sizes.append(sum(len(str(w.row.values)) for w in writes))
        return await commit(partition, writes)

    world.table.commit = measured  # type: ignore[method-assign]
    ids = [f"dev-{n}" for n in range(60)]
    for n, d in enumerate(ids):
        await world.issue(d, sequence=n)
    sizes.clear()
    big = {f"t{n}": "x" * 256 for n in range(1000)}
    await world.store.update(ids, lambda _, r: r and Reduction(replace(r, tags=big)))
    assert max(sizes) < TRANSACTION_BYTES
    assert len(sizes) > 4


async def test_sweeps_and_requests_by_hand_share_one_minute() -> None:
    world = World(per_minute=8)
    for n in range(6):
        await world.issue(f"dev-{n}", sequence=n)
    for n in range(2):
        await world.devices.renew(f"dev-{n}", ANN, "now")
    world.clock.advance(26 * DAY)
    for n in range(2):
        await world.devices.renew(f"dev-{n}", ANN, "again")
    first = await world.deadlines.sweep()
    world.clock.advance(timedelta(seconds=10))
    second = await world.deadlines.sweep()
    assert (first.commands, first.over_budget) == (2, 2)
    assert second.commands == 0
    world.clock.advance(timedelta(seconds=50))
    assert (await world.deadlines.sweep()).commands == 2


async def test_a_tick_that_comes_a_little_early_meets_a_minute_of_its_own() -> None:
    world = World(per_minute=8)
    for n in range(8):
        await world.issue(f"dev-{n}", sequence=n)
    world.clock.advance(26 * DAY)
    commands = []
    for jitter in (0, -0.4, 0.3):
        commands.append((await world.deadlines.sweep()).commands)
        world.clock.advance(timedelta(seconds=60 + jitter))
    assert commands == [4, 4, 0]


async def test_a_ledger_that_cannot_be_written_stops_no_command() -> None:
    world = World()
    await world.issue()
    world.clock.advance(26 * DAY)
    real = world.table.commit

    async def commit(partition: str, writes: list[Write]) -> dict[str, str]:
        if any(w.row.key == "cursor!ledger" for w in writes):
            raise InfrastructureFault("table", "down")
        return await real(partition, writes)

    world.table.commit = commit  # type: ignore[method-assign]
    assert (await world.deadlines.sweep()).commands == 1


def test_the_budget_is_our_share_of_the_smallest_throttle() -> None:
    assert [Budget(per_minute).commands for per_minute in (100, 500, 5000)] == [50, 250, 250]
