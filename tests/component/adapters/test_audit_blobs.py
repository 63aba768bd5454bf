"""The audit on real append blobs, and the check of its chain after every way to spoil it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest
from azure.storage.blob import ContainerClient
from support.fakes import NOON, FakeClock, FakeTable
from typer.testing import CliRunner

from fleetcert.cli import audit as command
from fleetcert.operating.audit import AuditUnreadable, verify
from fleetcert.operating.connections import Connections
from shared.adapters.audit import AppendBlobs
from shared.domain.audit import Line
from shared.domain.keys import FLEET_PARTITION, audit_key
from shared.domain.record import Actor
from shared.errors import Conflict, InfrastructureFault
from shared.services.auditing import Auditing
from shared.services.pauses import Pauses
from shared.services.ports import Row

DAY = timedelta(days=1)


@pytest.fixture
def container(storage: str, fresh_name: str) -> ContainerClient:
    """An empty container."""
    client = ContainerClient.from_connection_string(storage, fresh_name)
    client.create_container()
    return client


@pytest.fixture
async def blobs(storage: str, container: ContainerClient) -> AsyncIterator[AppendBlobs]:
    adapter = AppendBlobs.from_connection_string(storage, str(container.container_name))
    yield adapter
    await adapter.close()


@pytest.fixture
async def chain(container: ContainerClient, blobs: AppendBlobs) -> ContainerClient:
    """Three days with two changes each; each block is one line, the day's last line names the next day."""
    table, clock = FakeTable(), FakeClock()
    writer = Auditing(table, blobs, ["s00"], clock)
    for number in range(6):
        key = audit_key("dev-1", NOON, f"e/{number}")
        table.rows["s00", key] = Row("s00", key, {"eventId": f"e/{number}"})
        await writer.append()
        if number % 2:
            clock.advance(DAY)
    return container


def rewrite(container: ContainerClient, name: str, lines: list[bytes]) -> None:
    """What nobody can do in Azure, where the container is immutable."""
    blob = container.get_blob_client(name)
    blob.create_append_blob()
    for line in lines:
        blob.append_block(line + b"\n")


def lines_of(container: ContainerClient, name: str) -> list[bytes]:
    return container.download_blob(name).readall().splitlines()


DAYS = [f"2026-11-{day}.0001.jsonl" for day in (23, 24, 25)]


async def test_lines_are_taken_at_the_end_that_their_writer_has_seen(blobs: AppendBlobs):
    await blobs.create("a")
    await blobs.append("a", 0, b"one\n")
    with pytest.raises(Conflict):
        await blobs.append("a", 0, b"two\n")
    await blobs.append("a", 4, b"two\n")
    end = await blobs.end_of("a", 100)
    assert (end.size, end.blocks, end.tail) == (8, 2, b"one\ntwo\n")


async def test_a_window_holds_whole_lines(blobs: AppendBlobs):
    await blobs.create("a")
    await blobs.append("a", 0, b"one\ntwo\n")
    assert (await blobs.end_of("a", 6)).tail == b"two\n"


async def test_a_blob_that_exists_is_not_emptied(blobs: AppendBlobs):
    await blobs.create("a")
    await blobs.append("a", 0, b"one\n")
    await blobs.create("a")
    assert (await blobs.end_of("a", 100)).size == 4


async def test_the_last_two_blobs_are_the_newest(blobs: AppendBlobs):
    for name in ("2026-11-24.0001.jsonl", "2026-11-23.0002.jsonl", "2026-11-23.0001.jsonl"):
        await blobs.create(name)
    assert await blobs.newest() == ["2026-11-23.0002.jsonl", "2026-11-24.0001.jsonl"]


async def test_an_empty_blob_ends_at_nothing(blobs: AppendBlobs):
    await blobs.create("a")
    end = await blobs.end_of("a", 100)
    assert (end.size, end.blocks, end.tail) == (0, 0, b"")


async def test_a_container_that_is_missing_is_a_fault_and_is_not_made(storage: str, fresh_name: str):
    adapter = AppendBlobs.from_connection_string(storage, fresh_name)
    with pytest.raises(InfrastructureFault):
        await adapter.newest()
    await adapter.close()
    assert not ContainerClient.from_connection_string(storage, fresh_name).exists()


def test_the_adapter_has_no_way_to_delete():
    assert {name for name in dir(AppendBlobs) if not name.startswith("_")} == {
        "from_connection_string",
        "from_endpoint",
        "newest",
        "end_of",
        "create",
        "append",
        "close",
    }


async def test_a_sound_chain_is_found_sound(chain: ContainerClient):
    verdict = verify(chain)
    assert verdict.broken is None
    assert (verdict.blobs, verdict.lines, verdict.head.seq) == (3, 8, 8)


async def test_a_day_can_be_checked_alone(chain: ContainerClient):
    verdict = verify(chain, date(2026, 11, 24))
    assert verdict.broken is None
    assert (verdict.blobs, verdict.lines, verdict.head.seq) == (1, 3, 6)


async def test_a_changed_entry_is_named(chain: ContainerClient):
    lines = lines_of(chain, DAYS[1])
    document = json.loads(lines[1])
    document["entry"]["eventId"] = "e/forged"
    rewrite(chain, DAYS[1], [lines[0], json.dumps(document, sort_keys=True, separators=(",", ":")).encode(), lines[2]])
    broken = verify(chain).broken
    assert broken is not None
    assert (broken.blob, broken.line) == (DAYS[1], 2)
    assert "does not have its hash" in broken.problem


async def test_a_changed_entry_with_a_new_hash_breaks_the_next_line(chain: ContainerClient):
    lines = lines_of(chain, DAYS[1])
    before = Line.from_json(lines_of(chain, DAYS[0])[-1]).head
    rewrite(chain, DAYS[1], [Line.after(before, {"eventId": "e/forged"}).to_json(), *lines[1:]])
    broken = verify(chain).broken
    assert broken is not None
    assert (broken.blob, broken.line) == (DAYS[1], 2)


@pytest.mark.parametrize(
    ("keep", "line"), [(slice(1, None), 1), (slice(0, None, 2), 2), (slice(0, -1), 3), (slice(0, 0), 1)]
)
async def test_a_missing_line_is_named(chain: ContainerClient, keep: slice, line: int):
    rewrite(chain, DAYS[1], lines_of(chain, DAYS[1])[keep])
    broken = verify(chain).broken
    assert broken is not None
    assert (broken.blob, broken.line) == (DAYS[1], line)


async def test_a_missing_day_is_found(chain: ContainerClient):
    chain.delete_blob(DAYS[1])
    broken = verify(chain).broken
    assert broken is not None
    assert broken.blob == DAYS[0]
    assert f"goes on in {DAYS[1]}" in broken.problem


async def test_a_missing_first_day_is_found(chain: ContainerClient):
    chain.delete_blob(DAYS[0])
    broken = verify(chain).broken
    assert broken is not None
    assert (broken.blob, broken.line) == (DAYS[1], 1)


async def test_lines_behind_the_one_that_ends_a_blob_are_foreign(chain: ContainerClient):
    lines = lines_of(chain, DAYS[0])
    rewrite(chain, DAYS[0], [*lines, Line.after(Line.from_json(lines[-1]).head, {"eventId": "e/x"}).to_json()])
    broken = verify(chain).broken
    assert broken is not None
    assert (broken.blob, broken.line) == (DAYS[0], 4)
    assert "left this blob" in broken.problem


async def test_the_newest_lines_are_missed_by_who_has_noted_their_hash(chain: ContainerClient):
    lines = lines_of(chain, DAYS[2])
    noted = Line.from_json(lines[-1]).hash
    assert verify(chain, anchor=noted).found_anchor
    rewrite(chain, DAYS[2], lines[:-1])
    verdict = verify(chain, anchor=noted)
    assert verdict.broken is None, "a chain that ends earlier is a chain"
    assert not verdict.found_anchor


async def test_an_empty_or_missing_container_cannot_be_vouched_for(container: ContainerClient):
    with pytest.raises(AuditUnreadable, match="holds no audit"):
        verify(container)
    container.delete_container()
    with pytest.raises(AuditUnreadable, match="cannot be read"):
        verify(container)


async def test_the_command_says_what_is_broken_and_exits_with_1(
    chain: ContainerClient, storage: str, monkeypatch: pytest.MonkeyPatch
):
    settings = {"AUDIT": str(chain.container_name)}
    monkeypatch.setattr(Connections, "from_environment", classmethod(lambda cls, *_: cls(storage, settings=settings)))
    sound = CliRunner().invoke(command.app, ["verify"])
    assert sound.exit_code == 0, sound.output
    assert "8 sound lines in 3 blobs" in sound.output
    assert CliRunner().invoke(command.app, ["verify", "--head", "0" * 64]).exit_code == 1
    rewrite(chain, DAYS[2], [b"{}"])
    broken = CliRunner().invoke(command.app, ["verify"])
    assert broken.exit_code == 1
    assert f"BROKEN at {DAYS[2]}, line 1" in broken.output


async def test_what_was_ruled_for_the_fleet_is_listed_and_verified_though_it_names_no_device(
    container: ContainerClient, blobs: AppendBlobs, storage: str, monkeypatch: pytest.MonkeyPatch
):
    table, clock = FakeTable(), FakeClock()
    await Pauses(table, clock).pause(NOON + DAY, Actor(name="ann", object_id="o-1"), "DPS is down", "site=bern")
    await Auditing(table, blobs, [FLEET_PARTITION, "s00"], clock).append()
    settings = {"AUDIT": str(container.container_name)}
    monkeypatch.setattr(Connections, "from_environment", classmethod(lambda cls, *_: cls(storage, settings=settings)))
    listed = CliRunner().invoke(command.app, ["list", "--since", "2026-11-23T12:00:00Z", "--kind", "renewalsPaused"])
    assert listed.exit_code == 0, listed.output
    [entry] = [json.loads(line) for line in listed.output.splitlines()]
    assert (entry["actor"], entry["actorObjectId"], entry["reason"]) == ("ann", "o-1", "DPS is down")
    assert (entry["details"]["tag"], entry["details"]["until"]) == ("site=bern", "2026-11-24T12:00:00Z")
    assert "deviceId" not in entry
    assert CliRunner().invoke(command.app, ["verify"]).exit_code == 0
