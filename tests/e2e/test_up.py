"""`fleetcert local up` as an operator meets it: what it says, what it refuses, and what it leaves behind."""

from __future__ import annotations

import json
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from support.local_azure import Up, start_up

DOCUMENTED = {
    "functions_url", "roles", "dps_endpoint", "dps_id_scope", "dps_service_connection_string", "iothub_hostname",
    "iothub_service_connection_string", "mqtt_host", "mqtt_port", "eventhub_connection_string", "eventhub_names",
    "storage_connection_string", "identity_endpoint", "identity_header", "arm_endpoint", "subscription_id",
    "resource_group", "dps_name", "adr_namespace", "eventgrid_endpoint", "eventgrid_log_url",
    "applicationinsights_connection_string", "applicationinsights_log_url", "ca_bundle", "onboarding",
    "policy_validity_seconds", "settings",
}  # fmt: skip

type Start = Callable[..., Up]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a second local Azure, without the app and on ports of its own."""
    started: list[Up] = []

    def start(folder: Path = tmp_path, **environment: str) -> Up:
        ports = dict(zip(("MQTT_PORT", "AMQPS_PORT", "AMQP_PORT"), map(str, free_ports(3)), strict=True))
        started.append(start_up(folder, "--without-app", **{**ports, **environment}))
        return started[-1]

    yield start
    for up in started:
        up.stop(signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def gone(processes: list[psutil.Process]) -> bool:
    return psutil.wait_procs(processes, timeout=5)[1] == []


def test_azure_json_holds_everything_that_is_documented(azure: dict[str, Any]):
    assert azure.keys() >= DOCUMENTED
    assert set(azure["roles"]) == {"Fleet.Read", "Certificates.Renew", "Devices.Contain", "all"}
    assert set(azure["onboarding"]) == {"enrollment_group", "ca_cert", "ca_key", "root_cert"}
    assert azure["policy_validity_seconds"] == 180


def test_the_files_that_azure_json_names_are_there_and_the_keys_are_private(azure: dict[str, Any], running: Up):
    files = [
        Path(azure["ca_bundle"]),
        *(Path(azure["onboarding"][name]) for name in ("ca_cert", "ca_key", "root_cert")),
    ]
    assert all(file.read_text().startswith("-----BEGIN") for file in files)
    private = [
        running.azure_file,
        Path(azure["onboarding"]["ca_key"]),
        Path(azure["ca_bundle"]).with_name("server.key"),
    ]
    assert {stat.S_IMODE(file.stat().st_mode) for file in private} == {0o600}


def test_core_tools_find_the_apps_settings(azure: dict[str, Any], running: Up):
    settings = json.loads((running.folder / "local.settings.json").read_text())
    assert settings["IsEncrypted"] is False
    assert settings["Values"].items() >= azure["settings"].items()
    assert settings["Values"]["FUNCTIONS_WORKER_RUNTIME"] == "python"


def test_every_https_endpoint_answers_below_the_ca_bundle_and_gives_strangers_nothing(azure: dict[str, Any]):
    hub = f"https://{azure['iothub_hostname']}/devices?api-version=2021-04-12"
    resources = f"{azure['arm_endpoint']}/subscriptions/{azure['subscription_id']}?api-version=2026-03-01-preview"
    for url in (azure["dps_endpoint"], resources, hub, azure["eventgrid_endpoint"]):
        assert 400 <= httpx.get(url).status_code < 500


def test_a_port_in_use_is_named_with_its_holder(start: Start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = start(AMQPS_PORT=str(port))
        assert up.process.wait(20) == 1
    said = up.log.read_text()
    assert f"port {port} (AMQP over TLS" in said
    assert f"is in use by process {psutil.Process().pid} " in said
    assert not up.folder.exists()


def test_a_wrong_validity_is_an_error_that_names_the_setting(start: Start):
    up = start(VALIDITY="5")
    assert up.process.wait(20) == 1
    assert "setting VALIDITY: '5' is not a number of seconds from 10" in up.log.read_text()


def test_a_folder_with_files_of_others_is_left_alone(start: Start, tmp_path: Path):
    precious = tmp_path / ".local" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    up = start()
    assert up.process.wait(20) == 1
    assert "FLEETCERT_LOCAL_DIR" in up.log.read_text()
    assert precious.read_text() == "years of work"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_no_process_and_removes_azure_json(start: Start, number: signal.Signals):
    up = start()
    up.wait_until_ready()
    children = up.children()
    assert children
    assert up.stop(number) == 0
    assert gone(children)
    assert not up.azure_file.exists()
    assert not (up.folder / "local.settings.json").exists()


def test_ctrl_c_while_it_starts_leaves_no_process(start: Start):
    up = start()
    deadline = time.monotonic() + 20
    while not (children := up.children()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert children
    assert up.stop() == 0
    assert gone(children)
    assert not up.azure_file.exists()


def test_a_child_that_dies_ends_everything_and_is_named(start: Start):
    up = start()
    up.wait_until_ready()
    up.children()[0].kill()
    assert up.process.wait(20) == 1
    assert "error: Azurite ended with exit code -9" in up.log.read_text()
    assert not up.azure_file.exists()


@pytest.mark.skipif(not psutil.LINUX, reason="only Linux ties a child to its parent's life")
def test_children_die_with_a_parent_that_is_killed(start: Start):
    up = start()
    up.wait_until_ready()
    children = up.children()
    up.stop(signal.SIGKILL)
    assert gone(children)
    up = start()  # what the killed one left does not stop the next
    up.wait_until_ready()
