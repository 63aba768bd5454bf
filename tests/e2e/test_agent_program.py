"""The agent as a process of its own, as a device runs it: killed, stopped, weighed and looked at."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from azure.iot.hub import IoTHubRegistryManager
from support.running_device import certificates_issued, reported

from fleetcert.device.glimpse import Glimpse
from fleetcert.local.fleet import FleetSite
from fleetcert.onboarding.authority import issue_device_credential, load_authority
from shared.contracts import RenewCertificate

RESIDENT_MB = 48
PATIENCE_SECONDS = 30


@dataclass
class Program:
    """`python -m fleetcert.device` with its own disk, and the events that it wrote."""

    device_id: str
    directory: Path
    environment: dict[str, str]
    events: list[dict[str, Any]] = field(default_factory=list)

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fleetcert.device"],
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def waits_for(self, event: str, count: int = 1) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            found = [one for one in self.events if one["event"] == event]
            if len(found) >= count:
                return found[count - 1]
            assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
            time.sleep(0.005)
        raise AssertionError(f"{event} did not happen {count} times: {self.events}")

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_SECONDS)
        self._reader.join()
        return code

    @property
    def state(self) -> Glimpse:
        return Glimpse.of(self.directory / "state")


@pytest.fixture
def registry(azure: dict[str, Any]) -> IoTHubRegistryManager:
    return IoTHubRegistryManager.from_connection_string(azure["iothub_service_connection_string"])


@pytest.fixture
def program(azure: dict[str, Any], tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """A device fresh from the factory, running."""
    site = FleetSite.from_azure(azure)
    authority = load_authority(site.ca_certificate, site.ca_key, site.root_certificate)
    programs = []

    def launch(name: str, **environment: str) -> Program:
        device_id = f"{name}-{uuid.uuid4().hex[:8]}"
        files = issue_device_credential(tmp_path / device_id, authority, device_id, key_type="ec")
        given = {
            "FLEETCERT_REGISTRATION_ID": device_id,
            "FLEETCERT_ID_SCOPE": azure["dps_id_scope"],
            "FLEETCERT_DPS_ENDPOINT": azure["dps_endpoint"],
            "FLEETCERT_MQTT_PORT": str(azure["mqtt_port"]),
            "FLEETCERT_CA_BUNDLE": azure["ca_bundle"],
            "FLEETCERT_ONBOARDING_CERT": str(files.full_chain),
            "FLEETCERT_ONBOARDING_KEY": str(files.key),
            "FLEETCERT_STATE_DIR": str(tmp_path / device_id / "state"),
            "FLEETCERT_LONGEST_PAUSE": "1",
        }
        programs.append(Program(device_id, tmp_path / device_id, given | environment))
        programs[-1].start()
        return programs[-1]

    yield launch
    for one in programs:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)


def send_command(registry: IoTHubRegistryManager, program: Program, command_id: str, thumbprint: str) -> None:
    held = program.state.current
    assert held is not None
    end = held.leaf.not_valid_after_utc
    command = RenewCertificate(
        command_id=command_id,
        device_id=program.device_id,
        reason="windowOpen",
        thumbprint=thumbprint,
        valid_until=end,
        renew_by=end,
    )
    registry.send_c2d_message(program.device_id, command.to_json().decode(), {"messageId": command_id})


def test_a_connected_agent_is_small(program: Callable[..., Program]) -> None:
    device = program("small")
    device.waits_for("reported")
    resident = psutil.Process(device.process.pid).memory_info().rss / 2**20
    assert resident < RESIDENT_MB, f"{resident:.1f} MB"


def test_sigterm_ends_it_in_order_and_leaves_everything_for_the_next_start(
    azure: dict[str, Any], program: Callable[..., Program]
) -> None:
    device = program("ended")
    device.waits_for("reported")
    assert device.end(signal.SIGTERM) == 0
    assert device.events[-1]["event"] == "stopped"
    device.start()
    device.waits_for("connected", count=2)
    assert device.end(signal.SIGINT) == 0
    assert certificates_issued(azure, device.device_id) == 1


@pytest.mark.parametrize("moment", ["registered", "connected", "reported"])
def test_a_new_device_that_is_killed_when_it_has_just_done_something_goes_on(
    program: Callable[..., Program], registry: IoTHubRegistryManager, moment: str
) -> None:
    device = program("killed")
    device.waits_for(moment)
    assert device.end(signal.SIGKILL) == -signal.SIGKILL
    device.start()
    device.waits_for("connected", count=2 if moment != "registered" else 1)
    _is_well(registry, device)


@pytest.mark.parametrize("way", ["dps", "iothub"])
@pytest.mark.parametrize("moment", ["command", "issued", "connected", "renewed", "reported"])
def test_a_device_that_is_killed_amid_a_renewal_goes_on_with_the_old_or_the_new_certificate(
    program: Callable[..., Program], registry: IoTHubRegistryManager, way: str, moment: str
) -> None:
    device = program("cut-short", FLEETCERT_RENEW_VIA=way)
    device.waits_for("reported")
    old = device.state.current
    assert old is not None
    before = sum(one["event"] == moment for one in device.events)
    send_command(registry, device, "cut-1", old.thumbprint)
    device.waits_for(moment, count=before + 1)
    device.end(signal.SIGKILL)
    left = device.state
    assert left.current is not None
    assert left.current.thumbprint == old.thumbprint or left.candidate is None
    device.start()
    _eventually(lambda: reported(registry, device.device_id).get("renewal", {}).get("outcome") == "renewed")
    _is_well(registry, device)
    assert device.state.current.thumbprint != old.thumbprint


def _is_well(registry: IoTHubRegistryManager, device: Program) -> None:
    """Connected, told, and nothing on the disk that is not needed."""

    def is_well() -> bool:
        seen = device.state
        twin = reported(registry, device.device_id).get("certificate", {})
        return (
            seen.journal.state == "operational"
            and seen.current is not None
            and seen.current.thumbprint == twin.get("thumbprint")
            and registry.get_device(device.device_id).connection_state == "Connected"
        )

    _eventually(is_well)
    state = device.directory / "state"
    assert sorted(path.suffix for path in state.iterdir()) == [".json", ".key", ".pem"]


def _eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_agents_with_one_directory_are_told_so(program: Callable[..., Program]) -> None:
    device = program("twice")
    device.waits_for("reported")
    second = subprocess.run(
        [sys.executable, "-m", "fleetcert.device"],
        env={**os.environ, **device.environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert second.returncode == 1
    assert "another agent lives in" in second.stderr


def test_the_command_shows_what_a_running_device_holds(program: Callable[..., Program]) -> None:
    device = program("looked-at")
    told = device.waits_for("reported")
    shown = subprocess.run(
        [Path(sys.executable).with_name("fleetcert"), "device", "status", device.directory / "state"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(shown.stdout)["current"]["thumbprint"] == told["thumbprint"]
    assert "PRIVATE" not in shown.stdout
