"""The agent as a program: its options, its secrets, its unit of systemd, and what it costs to load."""

from __future__ import annotations

import configparser
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fleetcert.cli import device as command
from fleetcert.device import program
from fleetcert.device.credential import OnboardingCredential
from fleetcert.device.events import AgentEvent, Happened
from fleetcert.device.states import Link, State
from fleetcert.device.systemd import Systemd

UNIT = Path(program.__file__).with_name("fleetcert-agent.service")
HEAVY = {"aiohttp", "azure", "click", "httpx", "msgspec", "msrest", "psutil", "requests", "rich", "typer", "urllib3"}
ALLOWED = {"cryptography", "_openssl", "cffi", "_cffi_backend", "paho", "socks", "fleetcert", "shared"}
"""`_openssl` is cryptography's; `socks` paho takes where it is installed."""

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


@pytest.fixture
def arguments(bootstrap: OnboardingCredential, tmp_path: Path) -> list[str]:
    return [
        *("--registration-id", "dev-1", "--id-scope", "0ne1", "--state-dir", str(tmp_path / "state")),
        *("--onboarding-cert", str(bootstrap.certificate_file), "--onboarding-key", str(bootstrap.key_file)),
    ]


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str], **environment: str) -> str:
    with pytest.raises(SystemExit) as end:
        program.main(arguments, environment)
    assert end.value.code == 2
    return capsys.readouterr().err


def test_what_must_be_given_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused([], capsys)
    assert {"--registration-id", "--id-scope", "--state-dir"} <= set(re.findall(r"--[a-z-]+", said.splitlines()[-1]))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FLEETCERT_REPORT_PEM", "maybe"),
        ("FLEETCERT_RENEW_AT", "1.5"),
        ("FLEETCERT_RENEW_AT", "nan"),
        ("FLEETCERT_RENEW_VIA", "pigeon"),
        ("FLEETCERT_KEY_TYPE", "dsa"),
        ("FLEETCERT_MQTT_PORT", "mqtt"),
        ("FLEETCERT_LONGEST_PAUSE", "0"),
        ("FLEETCERT_LONGEST_PAUSE", "inf"),
        ("FLEETCERT_DPS_PROTOCOL", "gopher"),
    ],
)
def test_a_variable_with_an_impossible_value_is_refused_by_its_option(
    arguments: list[str], capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    option = f"--{variable.removeprefix('FLEETCERT_').replace('_', '-').lower()}"
    assert option in refused(arguments, capsys, **{variable: value})


def test_every_option_has_its_variable_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["--help"], {})
    said = capsys.readouterr().out
    options = set(re.findall(r"^  (--[a-z-]+)", said, re.MULTILINE))
    variables = set(re.findall(r"FLEETCERT_[A-Z_]+", said))
    assert len(options) > 15
    assert {f"FLEETCERT_{option.removeprefix('--').replace('-', '_').upper()}" for option in options} <= variables


@pytest.mark.parametrize("drop", ["--onboarding-key", "--onboarding-cert"])
def test_half_a_credential_and_two_credentials_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, drop: str
) -> None:
    half = [word for pair in zip(arguments[::2], arguments[1::2], strict=True) if pair[0] != drop for word in pair]
    assert "--symmetric-key-file alone" in refused(half, capsys)
    key = tmp_path / "key"
    key.write_text("AAAAAAAAAAAAAAAAAAAAAA==")
    assert "--symmetric-key-file alone" in refused([*arguments, "--symmetric-key-file", str(key)], capsys)


@pytest.mark.parametrize("content", ["", "\nsecret"])
def test_an_empty_passphrase_file_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str
) -> None:
    file = tmp_path / "passphrase"
    file.write_text(content)
    assert "holds no passphrase" in refused([*arguments, "--key-passphrase-file", str(file)], capsys)


def test_no_option_takes_a_secret_itself() -> None:
    options = set(re.findall(r'"(--[a-z-]+)"', Path(program.__file__).read_text()))
    secret = {option for option in options if any(word in option for word in ("passphrase", "symmetric", "password"))}
    assert secret
    assert all(option.endswith("-file") for option in secret)


def test_trouble_that_a_person_must_put_right_is_one_line_and_exit_code_1(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file where a directory should be")
    assert program.main(arguments, {}) == 1
    assert capsys.readouterr().err.startswith("error: disk: ")


# -- systemd ---------------------------------------------------------------------------------------------------------


def unit() -> Mapping[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(UNIT)
    assert set(parser.sections()) == {"Unit", "Service", "Install"}
    return parser["Service"]


def test_the_unit_sets_only_variables_that_the_program_knows(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["--help"], {})
    known = set(re.findall(r"FLEETCERT_[A-Z_]+", capsys.readouterr().out))
    used = set(re.findall(r"FLEETCERT_[A-Z_]+", UNIT.read_text()))
    assert len(used) >= 5
    assert used <= known
    assert unit()["ExecStart"].endswith("python -m fleetcert.device")
    assert unit()["Type"] == "notify"


def test_systemd_is_told_that_the_agent_runs_and_how_it_stands(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(5)
        told = Systemd.from_environment({"NOTIFY_SOCKET": address})
        told.is_ready()
        told.tell(AgentEvent(Happened.CONNECTED, "dev-1", NOW, State.OPERATIONAL, Link.ONLINE, "ab", NOW))
        assert listener.recv(100) == b"READY=1"
        assert listener.recv(200) == (
            b"STATUS=operational, online, certificate until 2026-11-23T10:00:00Z; last: connected"
        )


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nowhere"}, {"NOTIFY_SOCKET": "@nobody-listens"}])
def test_where_nobody_listens_nothing_breaks(environment: dict[str, str]) -> None:
    Systemd.from_environment(environment).is_ready()


# -- what it costs ---------------------------------------------------------------------------------------------------


def modules_after(statement: str) -> set[str]:
    """The top-level modules in a fresh interpreter after a statement."""
    code = f"{statement}; import sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_importing_the_package_alone_loads_neither_mqtt_nor_cryptography() -> None:
    loaded = modules_after("import fleetcert.device")
    assert not {name.partition(".")[0] for name in loaded} & {"paho", "cryptography", "ssl", *HEAVY}


@pytest.mark.parametrize("statement", ["from fleetcert.device import Agent", "import fleetcert.device.program"])
def test_the_agent_loads_no_http_client_but_the_standard_librarys_and_nothing_else_of_the_project(
    statement: str,
) -> None:
    loaded = modules_after(statement)
    foreign = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names) - _of_the_installation()
    assert foreign <= ALLOWED
    ours = {name for name in loaded if name.startswith(("fleetcert.", "shared."))}
    others = {name for name in ours if not name.startswith("fleetcert.device")}
    assert others <= {"fleetcert.certificates", "shared.clock", "shared.contracts", "shared.errors"}


def _of_the_installation() -> set[str]:
    """What the interpreter loads by itself here, such as hooks of editable installs."""
    return {name.partition(".")[0] for name in modules_after("pass")} | {"__main__", "__mp_main__"}


def test_everything_that_the_library_promises_is_there() -> None:
    statement = "import fleetcert.device as d; [getattr(d, name) for name in d.__all__]"
    assert "fleetcert.device.agent" in modules_after(statement)


# -- the command -----------------------------------------------------------------------------------------------------


def test_the_command_takes_the_addresses_of_a_local_azure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".local").mkdir()
    local = {"dps_endpoint": "https://localhost:1", "dps_id_scope": "0ne9", "ca_bundle": "/x", "mqtt_port": 9}
    (tmp_path / ".local/azure.json").write_text(json.dumps(local))
    seen: list[Mapping[str, str]] = []
    monkeypatch.setattr(program, "main", lambda _arguments, environment: seen.append(environment) or 0)
    assert CliRunner().invoke(command.app, ["run", *arguments]).exit_code == 0
    assert seen[0]["FLEETCERT_ID_SCOPE"] == "0ne9"
    assert seen[0]["FLEETCERT_MQTT_PORT"] == "9"
    assert os.environ.items() <= seen[0].items()


def test_status_shows_what_a_device_holds(bench: Any) -> None:
    current = bench.bring_up()
    shown = json.loads(CliRunner().invoke(command.app, ["status", str(bench.directory)]).output)
    assert shown["state"] == "operational"
    assert shown["current"]["thumbprint"] == current.thumbprint
    bench.directory.joinpath(next(bench.directory.glob("*.pem")).name).unlink()
    assert CliRunner().invoke(command.app, ["status", str(bench.directory)]).exit_code == 1


def test_status_needs_no_argument_where_the_environment_names_the_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["status"], {"FLEETCERT_STATE_DIR": str(tmp_path)}) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "new"
    assert "directory" in refused(["status"], capsys)


def test_an_unforeseen_error_ends_the_program_with_its_trace_and_not_with_success(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unforeseen(Exception): ...

    def fail(*_: object) -> None:
        raise Unforeseen

    monkeypatch.setattr(program, "run", fail)
    with pytest.raises(Unforeseen):
        program.main(arguments, {})
