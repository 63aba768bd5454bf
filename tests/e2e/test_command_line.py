"""The command line from a second terminal: no environment, only `.local/azure.json` in the working directory."""

from __future__ import annotations

import csv
import io
import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.local_azure import Up

type Cli = Callable[..., subprocess.CompletedProcess[str]]


def command(*arguments: str) -> list[str | Path]:
    return [Path(sys.executable).with_name("fleetcert"), *arguments]


@pytest.fixture
def cli(running: Up, azure: dict[str, Any]) -> Cli:
    """Runs `fleetcert` beside the local Azure; 200 columns, so that no table is cut."""

    def cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            cwd=running.folder.parent,
            env={"PATH": "", "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return cli


@pytest.fixture
def device(cli: Cli, running: Up, tmp_path: Path) -> Iterator[str]:
    """A device that was onboarded and runs, both by the command line."""
    device_id = f"cli-device-{secrets.token_hex(4)}"
    issued = cli("onboard", "device", "issue", device_id, "--directory", ".local/onboarding", "--output", str(tmp_path))
    assert issued.returncode == 0, issued.stderr
    agent = subprocess.Popen(
        command(
            *("device", "run", "--registration-id", device_id, "--state-dir", str(tmp_path / "state")),
            *("--onboarding-cert", str(tmp_path / "device-full-chain.pem")),
            *("--onboarding-key", str(tmp_path / "device.key")),
        ),
        cwd=running.folder.parent,
        stdout=(tmp_path / "device.log").open("wb"),
    )
    yield device_id
    agent.send_signal(signal.SIGINT)
    agent.wait(10)


def wait_for(cli: Cli, *arguments: str, say: str) -> str:
    deadline = time.monotonic() + 20
    while say not in (said := cli(*arguments)).stdout:
        assert time.monotonic() < deadline, f"{said.stdout}\n{said.stderr}"
        time.sleep(0.1)
    return said.stdout


def test_a_device_is_onboarded_listed_renewed_and_shut_out(cli: Cli, device: str):
    wait_for(cli, "fleet", "list", "--text", device, "--state", "valid", say=device)
    thumbprint = thumbprint_of(cli, device)
    assert cli("fleet", "renew", device, "--reason", "test of the command line").returncode == 0
    assert another_than(cli, device, thumbprint)
    assert cli("fleet", "disable", device, "--reason", "stolen").returncode == 0
    shown = wait_for(cli, "fleet", "show", device, say="containment.hubDisabledAt")
    assert _value(shown, "containment.reason") == "stolen"
    told = json.loads(cli("fleet", "history", device, "--output", "json").stdout)
    assert {"certificateIssued", "certificateRenewed", "disableRequested"} <= {change["kind"] for change in told}


def test_many_devices_are_renewed_by_an_operation_and_exported(cli: Cli, device: str, running: Up):
    wait_for(cli, "fleet", "list", "--text", device, "--state", "valid", say=device)
    thumbprint = thumbprint_of(cli, device)
    chosen = running.folder.parent / "ids.txt"
    chosen.write_text(f"{device}\n")
    request = ("fleet", "renew", "--ids-from", str(chosen), "--reason", "test of bulk requests")
    assert "would touch 1 of 1 devices" in cli(*request).stdout
    assert thumbprint_of(cli, device) == thumbprint
    done = cli(*request, "--apply", "--yes", "--output", "json")
    assert done.returncode == 0, done.stderr
    assert (json.loads(done.stdout)["state"], json.loads(done.stdout)["done"]) == ("done", 1)
    renewed = another_than(cli, device, thumbprint)
    exported = cli("fleet", "export", "-", "--text", device)
    assert exported.returncode == 0, exported.stderr
    [row] = csv.DictReader(io.StringIO(exported.stdout))
    assert (row["deviceId"], row["thumbprint"]) == (device, renewed)
    assert "export" in cli("fleet", "operations").stdout


def test_a_problem_of_the_api_is_one_clear_line(cli: Cli):
    shown = cli("fleet", "show", "nobody")
    assert shown.returncode == 1
    assert shown.stderr.strip() == "error: There is no such thing: device 'nobody' is not known (404)"


def test_a_role_that_is_missing_is_named(cli: Cli, azure: dict[str, Any]):
    read_only = {"FLEETCERT_URL": azure["functions_url"], "FLEETCERT_TOKEN": azure["roles"]["Fleet.Read"]}
    refused = cli("fleet", "disable", "nobody", "--reason", "x", **read_only)
    assert "this needs the role Devices.Contain (403)" in refused.stderr


def test_an_api_that_is_not_there_is_said_so(cli: Cli):
    nowhere = {"FLEETCERT_URL": "http://127.0.0.1:1", "FLEETCERT_TOKEN": "x"}
    assert "cannot be reached" in cli("fleet", "list", **nowhere).stderr
    assert (
        "set both FLEETCERT_URL and FLEETCERT_TOKEN" in cli("fleet", "list", FLEETCERT_URL="http://127.0.0.1:1").stderr
    )


def thumbprint_of(cli: Cli, device_id: str) -> str | None:
    return _value(cli("fleet", "show", device_id).stdout, "certificate.thumbprint")


def another_than(cli: Cli, device_id: str, thumbprint: str | None) -> str | None:
    """The thumbprint of the device's certificate, once it is a new one."""
    deadline = time.monotonic() + 20
    while (current := thumbprint_of(cli, device_id)) == thumbprint:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return current


def _value(shown: str, name: str) -> str | None:
    lines = (line.split(maxsplit=1) for line in shown.splitlines())
    return next((parts[1].strip() for parts in lines if parts and parts[0] == name and len(parts) > 1), None)
