"""`fleetcert onboard` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleetcert.cli import onboard
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
