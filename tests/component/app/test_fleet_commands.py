"""`fleetcert fleet ...` as operators and scripts run it, against the app behind the local gate."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.events import claim, twin_event

from shared import composition
from shared.errors import InfrastructureFault

ALL = ("Fleet.Read", "Certificates.Renew", "Devices.Contain")


@dataclass(frozen=True)
class Said:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Cli:
    """Runs `fleetcert fleet ...` for a caller with these roles."""

    served: Any
    folder: Path

    async def __call__(self, *arguments: str, stdin: str = "", roles: tuple[str, ...] = ALL) -> Said:
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("fleetcert")),
            "fleet",
            *arguments,
            cwd=self.folder,
            env={
                "FLEETCERT_URL": self.served.url,
                "FLEETCERT_TOKEN": self.served.token(*roles),
                "COLUMNS": "250",
                "PYTHONUTF8": "1",
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(stdin.encode())
        return Said(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
def cli(served: Any, tmp_path: Path) -> Cli:
    return Cli(served, tmp_path)


async def know(*device_ids: str) -> None:
    services = await composition.app.services()
    now = datetime.now(UTC).replace(microsecond=0)
    events = [
        twin_event(
            {"certificate": claim(now, timedelta(days=10 + place))}, device_id=device_id, sequence=place + 1, at=now
        )
        for place, device_id in enumerate(device_ids)
    ]
    await services.recording.record_hub_events(events)


@asynccontextmanager
async def at_work(ports: Any) -> AsyncIterator[None]:
    """The queue `operations` is read meanwhile."""

    async def step() -> None:
        services = await composition.app.services()
        while True:
            while ports.operations.messages:
                await services.operations.step(ports.operations.messages.pop(0))
            await asyncio.sleep(0.01)

    task = asyncio.create_task(step())
    try:
        yield
    finally:
        task.cancel()


async def test_a_list_is_a_table_for_people_and_an_array_for_scripts(cli: Cli):
    await know("dev-1", "dev-2", "other")
    table = await cli("list", "--text", "DEV")
    assert (table.code, "dev-1" in table.out, "other" in table.out) == (0, True, False)
    listed = await cli("list", "--state", "valid", "--state", "due", "--limit", "2", "-o", "json")
    assert [device["deviceId"] for device in listed.json] == ["dev-1", "dev-2"]
    later = (datetime.now(UTC) + timedelta(days=11, hours=-1)).isoformat()
    assert [d["deviceId"] for d in (await cli("list", "--expires-after", later, "-o", "json")).json] == [
        "dev-2",
        "other",
    ]


async def test_a_device_and_its_history_are_shown(cli: Cli):
    await know("a#b?c%d")
    shown = await cli("show", "a#b?c%d", "-o", "json")
    assert (shown.json["deviceId"], shown.json["state"]) == ("a#b?c%d", "valid")
    assert "certificate.thumbprint" in (await cli("show", "a#b?c%d")).out
    history = await cli("history", "a#b?c%d", "-o", "json")
    assert [change["kind"] for change in history.json] == ["certificateIssued"]


async def test_one_device_is_renewed_and_shut_out_at_once(cli: Cli, ports: Any):
    await know("dev-1")
    ports.hub.add("dev-1")
    assert (await cli("renew", "dev-1", "--reason", "leak", "-o", "json")).json["command"]["reason"] == "requested"
    disabled = await cli("disable", "dev-1", "--reason", "stolen", "-o", "json")
    assert disabled.json["containment"]["reason"] == "stolen"
    enabled = await cli("enable", "dev-1", "--reason", "found", "-o", "json")
    assert enabled.json["containment"]["release"]["reason"] == "found"
    revoked = await cli("revoke", "dev-1", "--reason", "leak")
    assert (revoked.code, "disable" in revoked.err) == (1, True)


async def test_many_devices_are_a_dry_run_until_it_is_said_otherwise(cli: Cli, ports: Any):
    await know("dev-1", "dev-2")
    (cli.folder / "ids.txt").write_text("dev-1\n\ndev-2\nnobody\n")
    dry = await cli("renew", "--ids-from", "ids.txt", "--reason", "x")
    assert dry.code == 0
    assert "renew would touch 2 of 3 devices" in dry.out
    assert "--apply" in dry.out
    as_json = await cli("renew", "dev-1", "dev-2", "--reason", "x", "-o", "json")
    assert (as_json.json["affected"], as_json.json["exceeds"]) == (2, False)
    assert ports.table.keys("op!") == []


async def test_many_devices_are_touched_after_a_yes_and_followed_to_the_end(cli: Cli, ports: Any):
    await know("dev-1", "dev-2")
    no = await cli("renew", "--state", "valid", "--reason", "x", "--apply", stdin="n\n")
    assert (no.code, ports.table.keys("op!")) == (1, [])
    async with at_work(ports):
        done = await cli("renew", "--state", "valid", "--reason", "x", "--apply", "--yes", "-o", "json")
    assert done.code == 0
    assert (done.json["state"], done.json["done"]) == ("done", 2)
    listed = await cli("operations", "-o", "json")
    assert [operation["id"] for operation in listed.json] == [done.json["id"]]


async def test_what_was_not_done_for_all_is_no_success(cli: Cli, ports: Any):
    await know("dev-1")
    async with at_work(ports):
        done = await cli("renew", "dev-1", "nobody", "--reason", "x", "--apply", "--yes")
    assert done.code == 1
    assert "failures[0].deviceId" in done.out


async def test_an_operation_is_shown_and_cancelled(cli: Cli, ports: Any):
    begun = await cli("disable", "--tag", "a=b", "--reason", "x", "--apply", "--yes", "--no-wait", "-o", "json")
    assert (begun.code, begun.json["state"]) == (0, "running")
    cancelled = await cli("operations", "cancel", begun.json["id"], "--reason", "wrong tag", "-o", "json")
    assert cancelled.json["cancellation"]["reason"] == "wrong tag"
    async with at_work(ports):
        ended = await cli("operations", "show", begun.json["id"], "--wait", "-o", "json")
    assert (ended.code, ended.json["state"]) == (1, "cancelled")


async def test_an_export_is_written_to_a_file_and_to_standard_output(cli: Cli, ports: Any):
    await know("dev-1", "dev-2", "other")
    async with at_work(ports):
        exported = await cli("export", "fleet.csv", "--text", "dev")
        piped = await cli("export", "-", "--state", "valid")
    assert (exported.code, exported.err.strip()) == (0, "2 devices in fleet.csv")
    written = (cli.folder / "fleet.csv").read_text()
    assert [row["deviceId"] for row in csv.DictReader(io.StringIO(written))] == ["dev-1", "dev-2"]
    assert len(piped.out.splitlines()) == 4


async def test_the_summary_is_shown_before_and_after_the_first_snapshot(cli: Cli):
    await know("dev-1", "dev-2")
    assert "No snapshot" in (await cli("summary")).out
    await (await composition.app.services()).watching.snapshots.run()
    assert "2 devices at" in (await cli("summary")).out
    assert (await cli("summary", "-o", "json")).json["snapshot"]["states"] == {"valid": 2}


async def test_what_is_ruled_for_the_fleet_is_seen_and_ended(cli: Cli, ports: Any):
    assert (await cli("rulings")).out.strip() == "Nothing is paused, and no alert is suppressed."
    until = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    paused = await cli("pause", "--until", until.isoformat(), "--reason", "DPS is down", "--tag", "site=bern")
    assert paused.code == 0, paused.err
    suppressed = await cli(
        *("suppress", "--alert-type", "*", "--device", "tag:site=lab", "--for", "P1D", "--reason", "tests"),
        *("-o", "json"),
    )
    identifier = suppressed.json["id"]
    ends = datetime.fromisoformat(suppressed.json["until"])
    assert abs(ends - datetime.now(UTC) - timedelta(days=1)) < timedelta(minutes=1)
    table = (await cli("rulings")).out
    assert all(text in table for text in ("tag:site=bern", "DPS is down", "* of tag:site=lab", "ann", identifier))
    standing = (await cli("rulings", "-o", "json")).json
    assert [(p["tag"], p["reason"]) for p in standing["pauses"]] == [("site=bern", "DPS is down")]
    assert (await cli("lift", identifier, "--reason", "they are over")).code == 0
    assert (await cli("resume", "--reason", "it is up", "--tag", "site=bern")).code == 0
    assert (await cli("rulings", "-o", "json")).json == {"pauses": [], "suppressions": []}
    told = [str(row.values["reason"]) for (_, key), row in ports.table.rows.items() if key.startswith("audit!")]
    assert sorted(told) == ["DPS is down", "it is up", "tests", "they are over"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("renew", "--reason", "x"),
        ("renew", "dev-1", "--tag", "a=b", "--reason", "x"),
        ("renew", "dev-1"),
        ("disable", "--tag", "a=b", "--onboarding-cert", "cert.pem", "--reason", "x"),
        ("list", "--output", "yaml"),
        ("list", "--limit", "0"),
        ("operations", "show"),
        ("pause", "--reason", "x"),
        ("pause", "--reason", "x", "--for", "PT1H", "--until", "2099-01-01T00:00:00Z"),
        ("pause", "--reason", "x", "--for", "4h"),
        ("pause", "--for", "PT1H"),
        ("suppress", "--device", "*", "--for", "PT1H", "--reason", "x"),
        ("lift", "--reason", "x"),
        ("nonsense",),
    ],
)
async def test_a_command_line_that_cannot_be_meant_is_told_apart_from_a_refusal(cli: Cli, arguments: tuple[str, ...]):
    (cli.folder / "cert.pem").write_text("x")
    assert (await cli(*arguments)).code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "nobody"),
        ("show", ".."),
        ("list", "--expires-before", "soon"),
        ("renew", "nobody", "--reason", "x"),
        ("operations", "show", "1"),
        ("pause", "--until", "soon", "--reason", "x"),
        ("pause", "--until", "2020-01-01T00:00:00Z", "--reason", "x"),
        ("lift", "0", "--reason", "x"),
        ("lift", "a/b", "--reason", "x"),
    ],
)
async def test_a_refusal_is_one_line_and_exit_code_1(cli: Cli, arguments: tuple[str, ...]):
    said = await cli(*arguments)
    assert said.code == 1
    assert said.err.startswith("error: ")
    assert len(said.err.strip().splitlines()) == 1


async def test_a_role_that_is_missing_is_named(cli: Cli):
    said = await cli("disable", "dev-1", "--reason", "x", roles=("Fleet.Read",))
    assert (said.code, "this needs the role Devices.Contain (403)" in said.err) == (1, True)


async def test_a_fault_is_waited_out_and_what_was_asked_is_done_once(cli: Cli, ports: Any):
    await know("dev-1")
    ports.table.faults = [None, InfrastructureFault("table", "down")]
    said = await cli("renew", "dev-1", "--reason", "x")
    assert said.code == 0
    assert len(ports.table.keys("key!")) == 1  # of both attempts
    kinds = [str(r.values["kind"]) for (_, key), r in ports.table.rows.items() if key.startswith("history!")]
    assert kinds.count("renewalRequested") == 1


async def test_what_others_have_written_is_shown_and_never_obeyed(cli: Cli, ports: Any):
    await know("dev-1")
    ports.hub.add("dev-1")
    await cli("disable", "dev-1", "--reason", "[red]x[/red]\x1b[2J")
    shown = (await cli("show", "dev-1")).out
    assert "[red]x[/red]\N{REPLACEMENT CHARACTER}[2J" in shown
    assert "\x1b[2J" not in shown
