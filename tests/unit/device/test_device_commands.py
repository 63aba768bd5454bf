"""`fleetcert onboard` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleetcert.cli import onboard
from fleetcert.device.credential import OnboardingCredential

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_commands_make_what_a_device_is_shipped_with(folder: Path) -> None:
    assert RUNNER.invoke(onboard.app, ["ca", "create", "press", "--key-type", "ec"]).exit_code == 0
    issued = RUNNER.invoke(onboard.app, ["device", "issue", "press-1", "--key-type", "ec", "--days", "10"])
    assert issued.exit_code == 0
    credential = OnboardingCredential.load(
        folder / "certs/device/device-full-chain.pem", folder / "certs/device/device.key"
    )
    assert (credential.leaf.not_valid_after_utc - credential.leaf.not_valid_before_utc).days == 10


def test_a_second_ca_under_the_same_name_is_refused_with_the_file_that_is_there() -> None:
    arguments = ["ca", "create", "press", "--key-type", "ec"]
    RUNNER.invoke(onboard.app, arguments)
    again = RUNNER.invoke(onboard.app, arguments)
    assert again.exit_code == 2
    assert "root-ca.key" in again.output
