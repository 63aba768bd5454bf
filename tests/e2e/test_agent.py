"""The reference agent against the local Azure: onboarded, commanded, renewed, shut out and let in again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure.iot.hub import IoTHubRegistryManager
from support.running_device import Launcher, block_at_dps, reported, send_command, set_status

from fleetcert.device.assembly import build_world
from fleetcert.device.credential import OnboardingCredential
from fleetcert.device.errors import ConnectionRefused
from fleetcert.device.events import Happened
from fleetcert.device.hub import MqttHub
from fleetcert.device.ports import Hub, Operational
from fleetcert.device.report import describe
from fleetcert.device.runner import StopSignal
from fleetcert.local.fleet import FleetSite
from fleetcert.onboarding.authority import create_hierarchy, issue_device_credential


@pytest.fixture
def registry(azure: dict[str, Any]) -> IoTHubRegistryManager:
    return IoTHubRegistryManager.from_connection_string(azure["iothub_service_connection_string"])


@pytest.fixture
def start(azure: dict[str, Any], tmp_path: Path) -> Iterator[Launcher]:
    launcher = Launcher(azure, tmp_path)
    yield launcher
    launcher.stop()


def test_a_new_device_is_onboarded_connects_and_describes_its_certificate_in_the_twin(
    start: Launcher, registry: IoTHubRegistryManager
) -> None:
    device = start("agent-new")
    told = device.waits_for(Happened.REPORTED)
    twin = reported(registry, "agent-new")
    assert twin["certificate"]["thumbprint"] == device.held.thumbprint == told.thumbprint
    assert "BEGIN CERTIFICATE" in twin["certificate"]["pem"]
    assert twin["onboarding"]["pem"] != twin["certificate"]["pem"]
    assert registry.get_device("agent-new").connection_state == "Connected"


def test_a_command_over_amqp_renews_the_certificate_and_the_twin(
    start: Launcher, registry: IoTHubRegistryManager
) -> None:
    device = start("agent-commanded")
    device.waits_for(Happened.REPORTED)
    old = device.held
    send_command(registry, device, "renew-1")
    renewed = device.waits_for(Happened.RENEWED)
    device.waits_for(Happened.REPORTED, count=2)
    assert renewed.detail["replaced"] == old.thumbprint != renewed.thumbprint
    assert reported(registry, "agent-commanded")["certificate"]["thumbprint"] == renewed.thumbprint


def test_a_late_command_for_the_old_certificate_is_answered_in_the_twin_and_not_obeyed(
    start: Launcher, registry: IoTHubRegistryManager
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
    start: Launcher, registry: IoTHubRegistryManager
) -> None:
    device = start("agent-rollback", lambda world: replace(world, hub=RefusingHub(world.hub)))
    device.waits_for(Happened.REPORTED)
    old = device.held
    send_command(registry, device, "rollback-1")
    device.waits_for(Happened.ROLLED_BACK)
    device.waits_for(Happened.CONNECTED, count=2)
    device.waits_for(Happened.REPORTED, count=2)
    assert device.held == old
    assert reported(registry, "agent-rollback")["renewal"]["outcome"] == "failed"


def test_a_disabled_device_is_shut_out_backs_off_and_returns_when_it_is_enabled(
    start: Launcher, registry: IoTHubRegistryManager
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
    azure: dict[str, Any], start: Launcher, registry: IoTHubRegistryManager
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
    azure: dict[str, Any], start: Launcher, tmp_path: Path
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
    start: Launcher, registry: IoTHubRegistryManager
) -> None:
    def describe_at_length(*certificates: Any) -> list[Any]:
        return [{"note": "x" * 5000}, *describe(*certificates)]

    device = start("agent-wordy", lambda world: replace(world, describe=describe_at_length))
    refused = device.waits_for(Happened.REPORT_REFUSED)
    assert refused.detail["status"] == 400
    device.waits_for(Happened.REPORTED)
    assert reported(registry, "agent-wordy").keys() >= {"certificate", "onboarding"}
    assert "note" not in reported(registry, "agent-wordy")


def test_a_hub_whose_certificate_is_not_trusted_gets_nothing(azure: dict[str, Any], start: Launcher) -> None:
    wrong_bundle = Path(azure["onboarding"]["root_cert"])
    device = start("agent-wary", lambda world: replace(world, hub=MqttHub(wrong_bundle, azure["mqtt_port"])))
    assert "certificate verify failed" in device.waits_for(Happened.FAULT).detail["problem"]


def test_a_restarted_device_uses_what_it_holds(start: Launcher) -> None:
    first = start("agent-restarted")
    first.waits_for(Happened.REPORTED)
    first.stop()
    second = start("agent-restarted")
    second.waits_for(Happened.CONNECTED)
    assert not [e for e in second.events if e.event in {Happened.REGISTERED, Happened.REPORTED}]
    assert json.loads((second.state_directory / "state.json").read_text())["candidate"] is None
