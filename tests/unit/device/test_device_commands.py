"""`fleetcert onboard` and `fleetcert device` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleetcert.cli import device, onboard
from fleetcert.device.credential import OnboardingCredential
from shared.errors import NotPossible

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


def test_a_ca_is_kept_under_its_name_and_refused_under_another_with_the_file_that_is_there() -> None:
    made, kept, refused = (
        RUNNER.invoke(onboard.app, ["ca", "create", name, "--key-type", "ec"]) for name in ("press", "press", "other")
    )
    assert (made.exit_code, kept.exit_code) == (0, 0)
    assert kept.output.startswith("kept")
    assert isinstance(refused.exception, NotPossible)
    assert "root-ca.pem: it is of press-root, not of other-root" in str(refused.exception)


def test_a_device_without_a_local_azure_is_told_which_option_it_lacks(folder: Path) -> None:
    arguments = ["run", "--registration-id", "d", "--onboarding-cert", "c", "--onboarding-key", "k", "--state-dir", "s"]
    refused = RUNNER.invoke(device.app, arguments)
    assert refused.exit_code == 2
    assert "--dps-endpoint" in refused.output


def test_an_onboarding_credential_that_is_not_there_is_named(folder: Path) -> None:
    (folder / ".local").mkdir()
    (folder / ".local/azure.json").write_text('{"dps_endpoint": "https://x", "dps_id_scope": "y", "ca_bundle": "z"}')
    arguments = ["run", "--registration-id", "d", "--onboarding-cert", "c", "--onboarding-key", "k", "--state-dir", "s"]
    refused = RUNNER.invoke(device.app, arguments)
    assert refused.exit_code == 2
    assert "onboarding credential" in refused.output
