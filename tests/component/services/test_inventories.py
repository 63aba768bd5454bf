"""Inventories of onboarding leaves: imported once, piece by piece, and known to the records they are about."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.events import DAY, claim, device_pem, lifecycle_event, twin_event
from support.fakes import NOON, FakeAlerts, FakeClock, FakeDeadLetters, FakeHub, FakeQueue, FakeTable
from support.inventories import FakeInventories, leaf, line_of

from shared.domain import reasons
from shared.domain.changes import Policies
from shared.domain.fleet_alerts import FleetAlertType
from shared.domain.leaves import parse_leaf
from shared.domain.onboarding_watch import watch_onboarding
from shared.domain.policy import BeliefPolicy
from shared.domain.record import DeviceRecord, OnboardingCredential, State
from shared.errors import BadEvent, InfrastructureFault
from shared.services import inventories
from shared.services.inventories import Inventories
from shared.services.leaf_rows import LeafRows
from shared.services.outbox import Outbox
from shared.services.recording import Recording
from shared.services.store import FleetStore

SHARDS = 4
POLICIES = Policies(belief=BeliefPolicy(validity=30 * DAY))
LEAVES = {name: leaf(name) for name in ("dev-1", "dev-2", "Reg.3")}


@dataclass
class World:
    table: FakeTable = field(default_factory=FakeTable)
    blobs: FakeInventories = field(default_factory=FakeInventories)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.store = FleetStore(self.table, SHARDS)
        self.leaves = LeafRows(self.table, SHARDS)
        self.inventories = Inventories(self.blobs, self.table, self.store, self.leaves, POLICIES, self.clock)
        outbox = Outbox(self.store, FakeAlerts(), FakeQueue(), FakeQueue())
        self.recording = Recording(self.store, outbox, FakeDeadLetters(), FakeHub(), POLICIES, self.clock)

    async def record(self, device_id: str) -> DeviceRecord:
        stored = await self.store.load(device_id)
        assert stored is not None
        return stored.record

    async def kinds(self, device_id: str) -> list[str]:
        return [str(row.values["kind"]) for row in await self.store.history(device_id, 20)]


@pytest.fixture
def world() -> World:
    return World()


async def test_an_inventory_is_imported_once_and_its_leaves_are_found_by_registration_id(world: World) -> None:
    world.blobs.put("a.jsonl", b"".join(map(line_of, LEAVES.values())))
    [progress] = await world.inventories.step()
    assert (progress.lines, progress.imported, progress.rejected) == (3, 3, 0)
    assert await world.leaves.of(["dev-1", "reg.3", "nobody"]) == {"dev-1": LEAVES["dev-1"], "reg.3": LEAVES["Reg.3"]}
    assert world.blobs.outcomes["a.jsonl"]["imported"] == "3"
    assert await world.inventories.step() == []


async def test_a_known_device_learns_its_leaf_at_once(world: World) -> None:
    await world.recording.record_hub_events([twin_event({"certificate": claim()})])
    world.blobs.put("a.jsonl", b"".join(map(line_of, LEAVES.values())))
    [progress] = await world.inventories.step()
    assert progress.learned == 1
    assert (await world.record("dev-1")).onboarding_credential == LEAVES["dev-1"].credential
    assert (await world.kinds("dev-1"))[0] == reasons.HISTORY_ONBOARDING_IMPORTED


async def test_a_device_of_another_name_learns_the_leaf_of_its_registration(world: World) -> None:
    await world.recording.record_hub_events([twin_event({"certificate": claim()}, device_id="machine-3")])
    await world.store.remember_registration("reg.3", "machine-3")
    world.blobs.put("a.jsonl", line_of(LEAVES["Reg.3"]))
    await world.inventories.step()
    assert (await world.record("machine-3")).inventoried == LEAVES["Reg.3"].credential


async def test_the_end_of_an_inventoried_credential_is_watched(world: World) -> None:
    short = leaf("dev-1", days=20)
    await world.recording.record_hub_events([twin_event({"certificate": claim()})])
    world.blobs.put("a.jsonl", line_of(short))
    await world.inventories.step()
    record = await world.record("dev-1")
    assert record.next_deadline is not None
    assert record.next_deadline <= NOON, "the level of 30 days has passed"
    [alert] = watch_onboarding(record, NOON).alerts
    assert (alert.type, alert.data["thumbprint"]) == (FleetAlertType.ONBOARDING_EXPIRING, short.thumbprint)


async def test_what_a_device_says_of_its_own_credential_comes_first(world: World) -> None:
    reported = {"thumbprint": "cc", "validUntil": "2027-01-01T00:00:00Z", "pem": None}
    await world.recording.record_hub_events([twin_event({"certificate": claim(), "onboarding": reported})])
    world.blobs.put("a.jsonl", line_of(LEAVES["dev-1"]))
    await world.inventories.step()
    credential = (await world.record("dev-1")).onboarding_credential
    assert credential is not None
    assert credential.thumbprint == "cc"


@pytest.mark.parametrize("thumbprint", [None, LEAVES["dev-1"].thumbprint])
def test_a_report_without_an_end_is_completed_by_the_inventory(thumbprint: str | None) -> None:
    known = LEAVES["dev-1"].credential
    record = DeviceRecord(
        device_id="d", registration_id="d", hub="h", first_seen=NOON, updated_at=NOON, inventoried=known
    )
    assert replace(record, onboarding=OnboardingCredential(thumbprint=thumbprint)).onboarding_credential == known
    other = OnboardingCredential(thumbprint="cc")
    assert replace(record, onboarding=other).onboarding_credential == other


async def test_a_device_that_was_made_anew_keeps_its_leaf(world: World) -> None:
    await world.recording.record_hub_events([twin_event({"certificate": claim()})])
    world.blobs.put("a.jsonl", line_of(LEAVES["dev-1"]))
    await world.inventories.step()
    events = [
        lifecycle_event("deleteDeviceIdentity", sequence=2, at=NOON + DAY),
        lifecycle_event("createDeviceIdentity", sequence=3, at=NOON + 2 * DAY),
    ]
    for event in events:
        await world.recording.record_hub_events([event])
    record = await world.record("dev-1")
    assert (record.state, record.inventoried) == (State.UNKNOWN, LEAVES["dev-1"].credential)


async def test_lines_that_cannot_be_used_are_kept_with_their_number_and_reason(world: World) -> None:
    good, other = LEAVES["dev-1"], LEAVES["dev-2"]
    lines = [
        line_of(good),
        b"\n",
        b"not JSON\n",
        line_of(other, registrationId="somebody-else"),
        line_of(other, thumbprint="00" * 32),
        line_of(other, notAfter="2031-01-01T00:00:00Z"),
        line_of(other, pem=None),
        line_of(other, pem="-----BEGIN EC PRIVATE KEY-----"),
        line_of(other).rstrip(),
    ]
    world.blobs.put("a.jsonl", b"".join(lines))
    [progress] = await world.inventories.step()
    assert (progress.lines, progress.imported, progress.rejected) == (9, 2, 6)
    assert [(number, reason.split()[0]) for number, reason in world.blobs.rejected] == [
        (3, "the"),
        (4, "pem"),
        (5, "thumbprint"),
        (6, "notAfter"),
        (7, "pem"),
        (8, "the"),
    ]
    assert "private key" in world.blobs.rejected[-1][1]


async def test_an_inventory_of_many_pieces_is_gone_on_with_by_whoever_comes_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventories, "PIECE_BYTES", 2 * len(line_of(LEAVES["dev-1"])) + 10)
    content = b"".join(map(line_of, LEAVES.values())) * 2
    world.blobs.put("a.jsonl", content)
    world.table.faults = [None] * 5 + [InfrastructureFault("table", "down")]
    with pytest.raises(InfrastructureFault):
        await world.inventories.step()
    begun = len(world.blobs.reads)
    [progress] = await World(world.table, world.blobs, world.clock).inventories.step()
    assert world.blobs.reads[begun][1] == world.blobs.reads[begun - 1][1] > 0, "the piece that failed, not the first"
    assert (progress.lines, progress.rejected) == (6, 0)


async def test_an_inventory_that_was_uploaded_again_is_imported_again(world: World) -> None:
    world.blobs.put("a.jsonl", line_of(LEAVES["dev-1"]))
    await world.inventories.step()
    renewed = leaf("dev-1", days=700)
    world.blobs.put("a.jsonl", line_of(renewed))
    await world.inventories.step()
    assert (await world.leaves.of(["dev-1"]))["dev-1"] == renewed


async def test_an_inventory_that_changes_while_it_is_read_is_read_again_from_its_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventories, "PIECE_BYTES", len(line_of(LEAVES["dev-1"])) + 10)
    world.blobs.put("a.jsonl", b"".join(map(line_of, LEAVES.values())))
    original = world.blobs.pending

    async def changed_meanwhile() -> Any:
        blob = await original()
        if world.blobs.reads and blob is not None and blob.etag == "1":
            world.blobs.put("a.jsonl", line_of(LEAVES["dev-2"]))
        return blob

    monkeypatch.setattr(world.blobs, "pending", changed_meanwhile)
    await world.inventories.step()
    [progress] = await world.inventories.step()
    assert (progress.etag, progress.imported) == ("2", 1)
    assert world.blobs.outcomes["a.jsonl"]["imported"] == "1"


async def test_a_blob_without_lines_is_given_up_with_the_reason(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventories, "PIECE_BYTES", 64)
    world.blobs.put("a.jsonl", b"x" * 1000)
    await world.inventories.step()
    assert "no inventory" in world.blobs.outcomes["a.jsonl"]["failure"]


async def test_a_step_ends_in_its_time_and_the_next_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        world.blobs.put(name, line_of(LEAVES["dev-1"]))
    original = world.blobs.read

    async def slow(*args: Any) -> bytes:
        world.clock.advance(timedelta(minutes=3))
        return await original(*args)

    monkeypatch.setattr(world.blobs, "read", slow)
    assert [progress.name for progress in await world.inventories.step()] == ["a", "b"]
    assert [progress.name for progress in await world.inventories.step()] == ["c"]


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_a_line_holds_it_is_a_leaf_or_a_named_reason(line: bytes) -> None:
    with pytest.raises(BadEvent):
        parse_leaf(line)


def test_a_certificate_of_a_ca_or_of_nobody_is_no_leaf() -> None:
    nobody = replace(LEAVES["dev-1"], pem=device_pem("somebody"))
    with pytest.raises(BadEvent, match="its common name is somebody"):
        parse_leaf(line_of(nobody))
