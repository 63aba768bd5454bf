"""What operators do beside the API, from a second terminal: the audit, a backup, and dead letters that are replayed."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from azure.iot.hub import IoTHubRegistryManager
from azure.storage.blob import ContainerClient
from support.events import claim, hub_event, twin_event
from support.local_azure import Up

from shared.clock import SystemClock
from shared.contracts import format_instant
from shared.domain.audit import Head, Line
from shared.domain.envelope import Envelope

PATIENCE_SECONDS = 30.0

type Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(running: Up, azure: dict[str, Any]) -> Cli:
    """Runs `fleetcert` beside the local Azure."""

    def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("fleetcert"), *arguments],
            cwd=running.folder.parent,
            env={"PATH": "", "COLUMNS": "250"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return cli


@pytest.fixture
def dead_letters(azure: dict[str, Any]) -> ContainerClient:
    container = ContainerClient.from_connection_string(azure["storage_connection_string"], "dead-letters")
    with container:
        yield container


def keep(container: ContainerClient, envelope: Envelope) -> str:
    """A dead letter, as the app writes them."""
    document = {
        "hub": envelope.hub,
        "partition": envelope.partition,
        "sequenceNumber": envelope.sequence_number,
        "enqueuedAt": format_instant(envelope.enqueued_at),
        "reason": "kept by a test",
        "properties": dict(envelope.properties),
        "system": dict(envelope.system),
        "body": base64.b64encode(envelope.body).decode(),
    }
    container.upload_blob(envelope.event_id, json.dumps(document).encode())
    return envelope.event_id


def until(cli: Cli, found: Callable[[str], bool], *arguments: str) -> str:
    """The output of a command as soon as it is as wanted."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not found((done := cli(*arguments)).stdout):
        assert time.monotonic() < deadline, done.stdout + done.stderr
    return done.stdout


def test_a_dead_letter_that_is_replayed_is_recorded_and_audited(cli: Cli, dead_letters: ContainerClient):
    now = SystemClock().now()
    event = twin_event({"certificate": claim(now)}, sequence=900_001, device_id="replayed-1", at=now)
    assert cli("dead-letters", "replay", keep(dead_letters, event)).returncode == 0
    until(cli, lambda output: "aa" * 32 in output, "fleet", "show", "replayed-1")
    audited = until(cli, lambda output: not output.startswith("0 ") and "sound lines" in output, "audit", "verify")
    assert "BROKEN" not in audited


def test_a_replay_that_fails_again_is_known_as_one(cli: Cli, dead_letters: ContainerClient):
    event = hub_event(b'{"certificate": ', "twinChangeEvents", "updateTwin", sequence=900_002, device_id="replayed-2")
    event_id = keep(dead_letters, event)
    assert cli("dead-letters", "replay", event_id).returncode == 0
    again = [
        line
        for line in until(cli, lambda output: output.count(event_id) > 1, "dead-letters", "list").splitlines()
        if line.count("iot-events/0/") == 2 and event_id in line
    ]
    assert len(again) == 1, "the second dead letter has a place of its own and names the first"


def test_what_the_audit_says_was_decided_is_decided_again_once(cli: Cli, azure: dict[str, Any]):
    """As after a restore: the audit knows of a decision, and the table does not."""
    now = SystemClock().now()
    container = f"audit-{uuid4().hex[:8]}"
    registry = IoTHubRegistryManager.from_connection_string(azure["iothub_service_connection_string"])
    registry.create_device_with_certificate_authority("redone-1", "enabled")
    until(cli, lambda output: "redone-1" in output, "fleet", "show", "redone-1")
    decided = {"at": now.isoformat(), "actor": "ann", "kind": "disableRequested", "reason": "stolen"}
    first, second = ({**decided, "deviceId": device_id} for device_id in ("redone-1", "redone-unknown"))
    with ContainerClient.from_connection_string(azure["storage_connection_string"], container) as blobs:
        blobs.create_container()
        line = Line.after(Head(), first)
        lines = (line, Line.after(line.head, second))
        chain, written = f"{now:%Y-%m-%d}.0001.jsonl", b"".join(line.to_json() + b"\n" for line in lines)
        blobs.upload_blob(chain, written)
    replay = ("audit", "replay", "--container", container, "--since", "2026-01-01T00:00:00Z")

    looked = cli(*replay)
    assert re.search("redone-1 .* to be done", looked.stdout)
    assert re.search("redone-unknown .*404", looked.stdout)
    assert looked.returncode == 1, "one of them cannot be done"
    assert "containment." not in cli("fleet", "show", "redone-1").stdout, "a look changes nothing"

    assert re.search("redone-1 .* done again", cli(*replay, "--execute").stdout)
    shown = cli("fleet", "show", "redone-1").stdout
    assert f"stolen (again: ann, {format_instant(now)})" in shown
    assert re.search("redone-1 .* holds", cli(*replay, "--execute").stdout), "once"

    with ContainerClient.from_connection_string(azure["storage_connection_string"], container) as blobs:
        blobs.upload_blob(chain, written.replace(b"stolen", b"broken"), overwrite=True)
    forged = cli(*replay)
    assert (forged.returncode, forged.stdout) == (1, "")
    assert f"the audit is broken at {chain}, line 1" in forged.stderr


def test_a_replay_of_the_audit_has_one_beginning(cli: Cli, tmp_path: Path):
    assert cli("audit", "replay").returncode == 2
    no_backup = cli("audit", "replay", "--backup", str(tmp_path / "none"))
    assert no_backup.returncode == 1
    assert "is damaged or no backup" in no_backup.stderr


def test_the_running_fleet_is_backed_up_and_its_table_is_not_overwritten(
    cli: Cli, azure: dict[str, Any], tmp_path: Path
):
    out = tmp_path / "fleet.jsonl.gz"
    assert azure["settings"]["FLEET_TABLE"] == "fleet"
    done = cli("backup", str(out))
    assert done.returncode == 0, done.stderr
    assert "the file is sound" in done.stdout
    refused = cli("restore", str(out))
    assert refused.returncode == 1
    assert "not empty" in refused.stderr
    restored = cli("restore", str(out), "--table", "restored")
    assert restored.returncode == 0, restored.stderr
