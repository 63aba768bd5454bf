"""Promise: docs/drills.md is true. Its blocks run in order beside a local Azure of their own; its claims are checked.

The tests are the page's sections, in the page's order: each goes on from what the one before has left.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableClient
from support.local_azure import start_up
from support.shell_commands import blocks

from fleetcert.local.cloud import Cloud

PAGE = Path(__file__).parents[2] / "docs/drills.md"
SECTIONS = {text.partition("\n")[0]: text for text in PAGE.read_text().split("\n## ")}
pytestmark = pytest.mark.timeout(240)  # A section takes half a minute, and what it tells shall be seen.
QUICK = {"ISSUERS_SCHEDULE": "*/2 * * * * *", "ROTATION_SCHEDULE": "*/2 * * * * *"}
COMPROMISED, REVOKED, OUTAGE, LOST = "A compromised device", "A revoked issuer", "A storage outage", "A lost table"


@dataclass
class Room:
    """A second terminal beside `make up`, and a look at the services' own state."""

    folder: Path
    cloud: Cloud
    azure: dict[str, Any]

    def follow(self, section: str) -> str:
        """Pastes the section's blocks, as one session of a shell; what was printed. Fails at the first that fails."""
        page = self.folder / "section.md"
        page.write_text(SECTIONS[section])
        script = "".join(block.text for block in blocks(page) if block.runs)
        output = self.folder / "section.log"
        with output.open("w") as log:
            done = subprocess.run(
                ["timeout", "200", "bash", "-e"],
                input=script,
                cwd=self.folder,
                env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "250"},
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        told = output.read_text()
        assert done.returncode == 0, told
        return told

    def kinds(self, device_id: str) -> set[str]:
        return {change["kind"] for change in self.cloud.history(device_id)}

    def alerts(self, subject: str) -> set[str]:
        return {alert["type"] for alert in self.cloud.alerts() if subject in alert["subject"]}

    def is_disabled_in_the_hub(self, device_id: str) -> bool:
        return self.cloud.identities()[device_id] == "disabled"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """A local Azure on ports of its own: what these tests break is nobody else's."""
    up = start_up(tmp_path_factory.mktemp("drills"), **QUICK, **own_ports())
    try:
        azure = up.wait_until_ready()
        with Cloud(azure) as cloud:
            yield Room(up.folder.parent, cloud, azure)
        assert up.stop() == 0, up.log.read_text()
    finally:
        up.stop(signal.SIGKILL)


def own_ports() -> dict[str, str]:
    names = ("MQTT_PORT", "AMQPS_PORT", "AMQP_PORT")
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        return {name: str(probe.getsockname()[1]) for name, probe in zip(names, probes, strict=True)}


def promised(section: str, row: str) -> set[str]:
    """The kinds of changes, or of alerts, that a row of the section's table names."""
    (line,) = [line for line in SECTIONS[section].splitlines() if line.startswith(f"| {row} |")]
    return {name for name in re.findall(r"`([\w.]+)`", line) if row == "history" or name.startswith("Fleetcert.")}


def but_for_evidence(record: dict[str, Any]) -> dict[str, Any]:
    """The certificate, of which the app may know more after a restart, when it has read the hub's new CA."""
    return {name: value for name, value in record["certificate"].items() if name != "evidence"}


def test_the_first_block_works(room: Room):
    assert "due today" in room.follow("# Drills")


def test_a_compromised_device_is_shut_out_everywhere(room: Room):
    told = room.follow(COMPROMISED)
    assert "IoT Hub refuses it" in told
    assert "DPS refuses it" in told
    record = room.cloud.record("drill-stolen")
    assert (record["state"], record["containment"]["block"]) == ("disabled", "blocked")
    assert record["containment"]["isVerified"]
    assert record["containment"]["refusedAt"]
    assert room.is_disabled_in_the_hub("drill-stolen")
    seen = room.cloud.seen_by_hub()["drill-stolen"]
    assert seen["session"] is None
    assert any("disabled" in refusal["reason"] for refusal in seen["refusals"])
    assert promised(COMPROMISED, "history") <= room.kinds("drill-stolen")
    assert promised(COMPROMISED, "alerts") <= room.alerts("drill-stolen")


def test_a_fleet_under_a_revoked_issuer_is_refused_and_comes_back(room: Room):
    told = room.follow(REVOKED)
    assert "certificates any more (IssuerRevoked)" in told
    assert "IoT Hub has refused 5 of 5" in told
    ids = [f"drill-issuer-{number}" for number in range(1, 6)]
    issued, seen = room.cloud.issued(), room.cloud.seen_by_hub()
    for device_id in ids:
        record = room.cloud.record(device_id)
        assert record["state"] == "valid"
        assert any("does not lead to a CA of the hub" in refusal["reason"] for refusal in seen[device_id]["refusals"])
        assert record["certificate"]["thumbprint"] == issued[device_id][-1].thumbprint
        assert len(issued[device_id]) == 2
        assert seen[device_id]["certificate"]["thumbprint"] == issued[device_id][-1].thumbprint
        assert promised(REVOKED, "history") <= room.kinds(device_id)
    assert promised(REVOKED, "alerts") <= room.alerts("issuers")
    assert any(alert["data"].get("state") == "gone" for alert in room.cloud.alerts())


def test_a_storage_outage_loses_nothing(room: Room):
    told = room.follow(OUTAGE)
    assert "5 of 5 devices have renewed all the same" in told
    assert "no answer" in told
    assert "5 new certificates wait in the event hub" in told
    reported, issued = room.cloud.reported(), room.cloud.issued()
    for device_id in (f"drill-storage-{number}" for number in range(1, 6)):
        thumbprint = room.cloud.record(device_id)["certificate"]["thumbprint"]
        assert thumbprint == reported[device_id] == issued[device_id][-1].thumbprint
        assert promised(OUTAGE, "history") <= room.kinds(device_id)
        assert promised(OUTAGE, "alerts") <= room.alerts(device_id)
    assert room.cloud.dead_letters() == []


def test_a_lost_table_comes_back_but_for_what_was_decided_after_the_backup(room: Room):
    before = {device_id: room.cloud.record(device_id) for device_id in room.cloud.identities()}
    changes = {device_id: room.cloud.history(device_id) for device_id in before}
    told = room.follow(LOST)
    assert "the app's API says: 503" in told
    assert "certificates as before the loss: 11 of 11" in told
    assert "shut out as before the loss: 1; not any more: ['drill-storage-1']" in told
    assert "shut out as before the loss: 2; not any more: none" in told
    assert re.search(r"drill-storage-1 \S+Z disableRequested\n", told), "it is in the audit"
    replayed = re.findall(
        r"drill-storage-1 .*\bdisable\b.* drill: shut out after the backup .*(to be done|done again)", told
    )
    assert replayed == ["to be done", "done again"]
    for device_id, record in before.items():
        assert but_for_evidence(room.cloud.record(device_id)) == but_for_evidence(record)
        known = room.cloud.history(device_id)
        assert [change for change in changes[device_id] if change not in known] == []
    assert room.cloud.record("drill-stolen")["containment"]["isVerified"]
    assert room.is_disabled_in_the_hub("drill-stolen")
    reasons = [change["reason"] for change in room.cloud.history("drill-storage-1")]
    assert any(reason.startswith("drill: shut out after the backup (again: ") for reason in reasons)
    assert "drill: shut out after the backup" not in reasons
    assert "drill: shut out after the backup" in told
    assert not room.is_disabled_in_the_hub("drill-storage-1")
    outcomes = {c["kind"]: c["details"].get("outcome") for c in room.cloud.history("drill-storage-1")}
    assert outcomes["registryDeviceRestored"] == "nothing to undo", "one place stays shut"
    assert outcomes["registrationUnblocked"] == "removed"


def test_the_table_that_came_back_is_the_one_the_app_uses(room: Room):
    name = room.azure["settings"]["FLEET_TABLE"]
    with TableClient.from_connection_string(room.azure["storage_connection_string"], name) as table:
        rows = table.query_entities("RowKey eq 'device!drill-stolen'")
        assert len(list(rows)) == 1
