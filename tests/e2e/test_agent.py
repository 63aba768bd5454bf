"""The reference agent against the local Azure: onboarded, commanded, renewed, shut out and let in again."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any, Self

import httpx
import pytest
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.sastoken import SasToken

from fleetcert.device.agent import Agent
from fleetcert.device.assembly import build_agent, build_world
from fleetcert.device.credential import OnboardingCredential
from fleetcert.device.errors import ConnectionRefused
from fleetcert.device.events import AgentEvent, Happened
from fleetcert.device.glimpse import Glimpse, Held
from fleetcert.device.hub import MqttHub
from fleetcert.device.options import AgentOptions, World
from fleetcert.device.ports import Hub, Operational
from fleetcert.device.report import describe
from fleetcert.device.runner import StopSignal, run
from fleetcert.local.fleet import FleetSite
from fleetcert.onboarding.authority import create_hierarchy, issue_device_credential, load_authority
from shared.contracts import RenewCertificate

OPTIONS = AgentOptions(first_pause=timedelta(milliseconds=100), longest_pause=timedelta(seconds=1))
PATIENCE_SECONDS = 20


@dataclass
class RunningDevice:
    """An agent in a thread of its own, and what it told so far."""

    device_id: str
    directory: Path
    events: list[AgentEvent] = field(default_factory=list)
    signal: StopSignal = field(default_factory=StopSignal)

    def start(self, agent: Agent) -> Self:
        self.thread = Thread(target=run, args=(agent, self.signal), name=self.device_id)
        self.thread.start()
        return self

    def stop(self) -> None:
        self.signal.set()
        self.thread.join(PATIENCE_SECONDS)
        assert not self.thread.is_alive()

    @property
    def state_directory(self) -> Path:
        return self.directory / "state"

    @property
    def onboarding_pem(self) -> str:
        return (self.directory / "device.pem").read_text()

    def waits_for(self, event: Happened, count: int = 1) -> AgentEvent:
        """The `count`-th event of that kind, once it has happened."""
        found: list[AgentEvent] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            found = [e for e in self.events if e.event is event]
            if len(found) >= count:
                return found[count - 1]
            time.sleep(0.02)
        raise AssertionError(f"{event} did not happen {count} times: {[e.to_wire() for e in self.events]}")

    @property
    def credential(self) -> Held:
        current = Glimpse.of(self.state_directory).current
        assert current is not None
        return current


@pytest.fixture
def registry(azure: dict[str, Any]) -> IoTHubRegistryManager:
    return IoTHubRegistryManager.from_connection_string(azure["iothub_service_connection_string"])


@pytest.fixture
def start(azure: dict[str, Any], tmp_path: Path) -> Iterator[Callable[..., RunningDevice]]:
    """Starts a device, with what a former start left on its disk; `adapt` may change the world that it meets."""
    site = FleetSite.from_azure(azure)
    authority = load_authority(site.ca_certificate, site.ca_key, site.root_certificate)
    devices = []

    def launch(device_id: str, adapt: Callable[[World], World] = lambda world: world) -> RunningDevice:
        device = RunningDevice(device_id, tmp_path / device_id)
        devices.append(device)
        if not device.directory.exists():
            issue_device_credential(device.directory, authority, device_id, key_type="ec")
        onboarding = OnboardingCredential.load(
            device.directory / "device-full-chain.pem", device.directory / "device.key"
        )
        world = adapt(build_world(site.address, onboarding, device.signal, device.events.append))
        return device.start(build_agent(device_id, onboarding, device.state_directory, world, OPTIONS))

    yield launch
    for device in devices:
        device.stop()


def reported(registry: IoTHubRegistryManager, device_id: str) -> dict[str, Any]:
    properties: dict[str, Any] = registry.get_twin(device_id).properties.reported
    return properties


def send_command(registry: IoTHubRegistryManager, device: RunningDevice, command_id: str, **changes: Any) -> None:
    credential = device.credential
    command = RenewCertificate(
        command_id=command_id,
        device_id=device.device_id,
        reason="WindowOpen",
        thumbprint=credential.thumbprint,
        valid_until=credential.leaf.not_valid_after_utc,
        renew_by=credential.leaf.not_valid_after_utc,
    )
    registry.send_c2d_message(
        device.device_id, replace(command, **changes).to_json().decode(), {"messageId": command_id}
    )


def set_status(registry: IoTHubRegistryManager, device_id: str, status: str) -> None:
    etag = registry.get_device(device_id).etag
    registry.update_device_with_certificate_authority(device_id, etag, status)


def block_at_dps(azure: dict[str, Any], device: RunningDevice) -> None:
    """A disabled individual enrollment for the device's own bootstrap certificate."""
    settings = dict(part.split("=", 1) for part in azure["dps_service_connection_string"].split(";"))
    host = settings["HostName"]
    token = SasToken(host, settings["SharedAccessKey"], settings["SharedAccessKeyName"])
    attestation = {"type": "x509", "x509": {"clientCertificates": {"primary": {"certificate": device.onboarding_pem}}}}
    response = httpx.put(
        f"https://{host}/enrollments/{device.device_id}?api-version=2021-10-01",
        json={"registrationId": device.device_id, "attestation": attestation, "provisioningStatus": "disabled"},
        headers={"Authorization": str(token)},
        verify=ssl.create_default_context(cafile=azure["ca_bundle"]),
    )
    response.raise_for_status()


def test_a_new_device_is_onboarded_connects_and_describes_its_certificate_in_the_twin(
    start: Callable[..., RunningDevice], registry: IoTHubRegistryManager
) -> None:
    device = start("agent-new")
    told = device.waits_for(Happened.REPORTED)
    twin = reported(registry, "agent-new")
    assert twin["certificate"]["thumbprint"] == device.credential.thumbprint == told.thumbprint
    assert "BEGIN CERTIFICATE" in twin["certificate"]["pem"]
    assert twin["onboarding"]["pem"] != twin["certificate"]["pem"]
    assert registry.get_device("agent-new").connection_state == "Connected"


def test_a_command_over_amqp_renews_the_certificate_and_the_twin(
    start: Callable[..., RunningDevice], registry: IoTHubRegistryManager
) -> None:
    device = start("agent-commanded")
    device.waits_for(Happened.REPORTED)
    old = device.credential
    send_command(registry, device, "renew-1")
    renewed = device.waits_for(Happened.RENEWED)
    device.waits_for(Happened.REPORTED, count=2)
    assert renewed.detail["replaced"] == old.thumbprint != renewed.thumbprint
    assert reported(registry, "agent-commanded")["certificate"]["thumbprint"] == renewed.thumbprint


def test_a_late_command_for_the_old_certificate_is_answered_in_the_twin_and_not_obeyed(
    start: Callable[..., RunningDevice], registry: IoTHubRegistryManager
) -> None:
    device = start("agent-late")
    device.waits_for(Happened.REPORTED)
    send_command(registry, device, "late-1", thumbprint="00" * 32)
    device.waits_for(Happened.COMMAND_REFUSED)
    device.waits_for(Happened.REPORTED, count=2)
    answer = {"commandId": "late-1", "outcome": "refused", "reason": "AnotherCertificate"}
    assert reported(registry, "agent-late")["renewal"] == answer
    assert not [e for e in device.events if e.event is Happened.RENEWED]


class RefusingHub:
    """The real hub, but it turns away the second certificate that a device comes with."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._first: str | None = None

    def connect(self, operational: Operational, *callbacks: Any) -> Any:
        self._first = self._first or operational.thumbprint
        if operational.thumbprint != self._first:
            raise ConnectionRefused(5, "not authorized")
        return self._hub.connect(operational, *callbacks)


def test_the_old_certificate_serves_on_where_the_new_one_is_refused(
    start: Callable[..., RunningDevice], registry: IoTHubRegistryManager
) -> None:
    device = start("agent-rollback", lambda world: replace(world, hub=RefusingHub(world.hub)))
    device.waits_for(Happened.REPORTED)
    old = device.credential
    send_command(registry, device, "rollback-1")
    device.waits_for(Happened.ROLLED_BACK)
    device.waits_for(Happened.CONNECTED, count=2)
    device.waits_for(Happened.REPORTED, count=2)
    assert device.credential == old
    assert reported(registry, "agent-rollback")["renewal"]["outcome"] == "failed"


def test_a_disabled_device_is_shut_out_backs_off_and_returns_when_it_is_enabled(
    start: Callable[..., RunningDevice], registry: IoTHubRegistryManager
) -> None:
    device = start("agent-disabled")
    device.waits_for(Happened.REPORTED)
    set_status(registry, "agent-disabled", "disabled")
    device.waits_for(Happened.DISCONNECTED)
    refused = device.waits_for(Happened.REFUSED)
    device.waits_for(Happened.BLOCKED, count=2)
    assert (refused.detail["by"], refused.detail["code"]) == ("IoT Hub", 5)
    set_status(registry, "agent-disabled", "enabled")
    device.waits_for(Happened.CONNECTED, count=2)


def test_a_device_that_is_disabled_at_the_hub_and_blocked_at_dps_stays_out(
    azure: dict[str, Any], start: Callable[..., RunningDevice], registry: IoTHubRegistryManager
) -> None:
    device = start("agent-contained")
    device.waits_for(Happened.REPORTED)
    block_at_dps(azure, device)
    set_status(registry, "agent-contained", "disabled")
    device.waits_for(Happened.BLOCKED, count=2)
    refusals = [(e.detail["by"], e.detail["reason"]) for e in device.events if e.event is Happened.REFUSED]
    assert [by for by, _ in refusals[:4]] == ["IoT Hub", "DPS", "IoT Hub", "DPS"]
    assert "disabled" in refusals[1][1].lower()


def test_a_device_with_a_bootstrap_certificate_of_a_stranger_is_refused_by_dps(
    azure: dict[str, Any], start: Callable[..., RunningDevice], tmp_path: Path
) -> None:
    stranger = create_hierarchy(tmp_path / "stranger", "stranger", key_type="ec")
    files = issue_device_credential(tmp_path / "files", stranger.intermediate, "agent-stranger", key_type="ec")
    onboarding = OnboardingCredential.load(files.full_chain, files.key)
    address = FleetSite.from_azure(azure).address
    registrar = build_world(address, onboarding, StopSignal(), print).registrar
    device = start("agent-stranger", lambda world: replace(world, registrar=registrar))
    refused = device.waits_for(Happened.REFUSED)
    assert refused.detail["by"] == "DPS"
    assert 401000 <= refused.detail["code"] < 402000
    device.waits_for(Happened.BLOCKED, count=2)


def test_a_report_that_the_twin_cannot_hold_is_refused_and_the_session_goes_on(
    start: Callable[..., RunningDevice], registry: IoTHubRegistryManager
) -> None:
    def describe_at_length(*certificates: Any) -> list[Any]:
        return [{"note": "x" * 5000}, *describe(*certificates)]

    device = start("agent-wordy", lambda world: replace(world, describe=describe_at_length))
    refused = device.waits_for(Happened.REPORT_REFUSED)
    assert refused.detail["status"] == 400
    device.waits_for(Happened.REPORTED)
    assert reported(registry, "agent-wordy").keys() >= {"certificate", "onboarding"}
    assert "note" not in reported(registry, "agent-wordy")


def test_a_hub_whose_certificate_is_not_trusted_gets_nothing(
    azure: dict[str, Any], start: Callable[..., RunningDevice]
) -> None:
    wrong_bundle = Path(azure["onboarding"]["root_cert"])
    device = start("agent-wary", lambda world: replace(world, hub=MqttHub(wrong_bundle, azure["mqtt_port"])))
    assert "certificate verify failed" in device.waits_for(Happened.FAULT).detail["problem"]


def test_a_restarted_device_uses_what_it_holds(start: Callable[..., RunningDevice]) -> None:
    first = start("agent-restarted")
    first.waits_for(Happened.REPORTED)
    first.stop()
    second = start("agent-restarted")
    second.waits_for(Happened.CONNECTED)
    assert not [e for e in second.events if e.event in {Happened.REGISTERED, Happened.REPORTED}]
    assert json.loads((second.state_directory / "state.json").read_text())["candidate"] is None
