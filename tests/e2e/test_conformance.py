"""The conformance suite: the reference agent passes all of it, and a broken device fails where it is broken."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support import broken_device

from fleetcert.local.conformance.cloud import ConformanceCloud
from fleetcert.local.conformance.run import Plan, Verdict, play_all
from fleetcert.local.conformance.scenarios import SCENARIOS, name_of
from fleetcert.local.conformance.trial import NotMet

OURS = (sys.executable, "-m", "fleetcert.device")
CONTRACT = Path(__file__).parents[2] / "docs" / "device-contract.md"


@pytest.fixture(scope="module")
def cloud(azure: dict[str, Any]) -> Iterator[ConformanceCloud]:
    with ConformanceCloud(azure) as opened:
        yield opened


def play(cloud: ConformanceCloud, folder: Path, plan: Plan) -> dict[str, Verdict]:
    verdicts = play_all(plan, plan.scenarios, cloud, folder, Console(quiet=True))
    return {verdict.scenario: verdict for verdict in verdicts}


@pytest.mark.timeout(600)
def test_the_reference_agent_passes_every_scenario(cloud: ConformanceCloud, tmp_path: Path) -> None:
    verdicts = play(cloud, tmp_path, Plan(OURS, jobs=6))
    assert len(verdicts) == len(SCENARIOS)
    assert [verdict for verdict in verdicts.values() if not verdict.has_passed] == []
    assert verdicts["renews-by-the-hub"].detail == "by the hub"


DEFECTS = {
    "credulous": {"refuses-anothers-command", "refuses-a-late-command"},
    "forgetful": {"obeys-once"},
    "deaf": {"obeys-a-command", "renews-by-itself"},
    "mute": {"reports-whole"},
    "half": {"reports-whole"},
    "burns-bridges": {"keeps-the-old-until-proven"},
    "impatient": {"is-patient-when-disabled", "is-patient-when-blocked"},
    "fickle": {"survives-a-power-loss"},
    "one-key": {"obeys-a-command", "renews-by-the-hub"},
}


@pytest.fixture(scope="module")
def broken(cloud: ConformanceCloud, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Verdict]]:
    """The verdicts on each broken device. Most of a scenario is waiting: they are played at the same time."""

    def judged(defect: str) -> dict[str, Verdict]:
        command = (sys.executable, broken_device.__file__, defect)
        plan = Plan(command, frozenset(DEFECTS[defect] | {"onboards"}), patience_seconds=20)
        return play(cloud, tmp_path_factory.mktemp(defect), plan)

    with ThreadPoolExecutor(len(DEFECTS)) as pool:
        return dict(zip(DEFECTS, pool.map(judged, DEFECTS), strict=True))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_broken_device_fails_where_it_is_broken(broken: dict[str, dict[str, Verdict]], defect: str) -> None:
    verdicts = broken[defect]
    assert {name for name, verdict in verdicts.items() if not verdict.has_passed} == DEFECTS[defect]
    assert verdicts["onboards"].has_passed


def test_a_device_that_ends_by_itself_fails_and_what_it_said_is_shown(cloud: ConformanceCloud, tmp_path: Path) -> None:
    command = ("sh", "-c", "echo no certificate for $FLEETCERT_REGISTRATION_ID; exit 3")
    (verdict,) = play(cloud, tmp_path, Plan(command, frozenset({"onboards"}))).values()
    assert not verdict.has_passed
    assert "ended" in verdict.detail
    assert verdict.log.startswith("no certificate for onboards-")


def test_a_scenario_that_is_none_is_named() -> None:
    with pytest.raises(NotMet, match="flies"):
        _ = Plan(OURS, frozenset({"flies"})).scenarios


def test_the_contract_lists_every_scenario_in_its_own_words() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+?) \|$", CONTRACT.read_text(), re.MULTILINE)
    told = {name: rule for name, rule in rows if "-" in name or name == "onboards"}
    assert told == {name_of(one): " ".join((one.__doc__ or "").split()) for one in SCENARIOS}


# -- the command -----------------------------------------------------------------------------------------------------


def conform(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`fleetcert device conform`, beside the local Azure of these tests: on ports of its own, and so without C2D."""
    ports = dict(zip(("MQTT_PORT", "AMQPS_PORT", "AMQP_PORT"), map(str, _free_ports(3)), strict=True))
    return subprocess.run(
        [Path(sys.executable).with_name("fleetcert"), "device", "conform", *arguments],
        env={**os.environ, **ports},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=110,
    )


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def test_the_command_starts_an_azure_of_its_own_and_exits_with_0_where_all_is_met(tmp_path: Path) -> None:
    wanted = ("--only", "onboards", "--only", "reports-whole", "--report", "verdicts.json")
    done = conform(*wanted, "--", *OURS, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 scenarios passed" in done.stdout
    verdicts = json.loads((tmp_path / "verdicts.json").read_text())
    assert [verdict["scenario"] for verdict in verdicts] == ["onboards", "reports-whole"]


def test_the_command_exits_with_1_where_something_is_not_met(tmp_path: Path) -> None:
    device = tmp_path / "device.sh"
    device.write_text("#!/bin/sh\necho I cannot\n")
    device.chmod(0o755)
    done = conform("--only", "onboards", "--", "./device.sh", cwd=tmp_path)
    assert done.returncode == 1
    assert "0 of 1 scenarios passed" in done.stdout
    assert "I cannot" in done.stdout


def test_a_command_that_is_no_program_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = conform("--", "./nothing-here", cwd=tmp_path)
    assert done.returncode == 2
    assert "nothing-here is no program" in " ".join(done.stderr.split())
