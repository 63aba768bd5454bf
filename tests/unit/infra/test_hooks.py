"""The hooks: their syntax in both shells, only commands that exist, and the same commands in both."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import tree_sitter_powershell
from support import bicep
from support.known_commands import complaint
from support.shell_commands import commands
from tree_sitter import Language, Parser

HOOKS = bicep.INFRA / "hooks"
SH = sorted(HOOKS.glob("*.sh"))
PS1 = sorted(HOOKS.glob("*.ps1"))
SHELLCHECK = Path(sys.executable).parent / "shellcheck"
POWERSHELL = Parser(Language(tree_sitter_powershell.language()))


@pytest.mark.parametrize("file", SH, ids=lambda file: file.name)
def test_every_script_is_a_shells(file: Path):
    for shell in filter(None, (shutil.which("bash"), shutil.which("dash"))):
        checked = subprocess.run([shell, "-n", file], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


def test_shellcheck_finds_nothing():
    checked = subprocess.run(
        [SHELLCHECK, "--external-sources", "--source-path=SCRIPTDIR", *SH], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("file", PS1, ids=lambda file: file.name)
def test_every_script_is_powershell_by_its_syntax(file: Path):
    """No PowerShell ran: only the syntax is checked, by tree-sitter."""
    assert list(bicep.syntax_errors(POWERSHELL.parse(file.read_bytes()).root_node)) == []


def test_a_script_that_is_no_powershell_is_told_from_one_that_is():
    assert list(bicep.syntax_errors(POWERSHELL.parse(b"function X { if ($a { } }").root_node))


def test_every_script_is_there_for_both_shells():
    assert [file.stem for file in SH] == [file.stem for file in PS1]


@pytest.mark.parametrize("file", [*SH, *PS1], ids=lambda file: file.name)
def test_only_commands_that_exist_are_called(file: Path):
    called = [command for command in commands(file.read_text(), "az", "azd") if command.words]
    assert [problem for command in called if (problem := complaint(command))] == []


def test_a_command_that_does_not_exist_would_be_seen():
    [misspelt, option] = commands("az ad ap create\nx=$(az ad app show --idd 1)\n", "az")
    assert "az ad ap create" in str(complaint(misspelt))
    assert "--idd" in str(complaint(option))


@pytest.mark.parametrize("file", SH, ids=lambda file: file.name)
def test_both_shells_call_the_same_commands_with_the_same_options(file: Path):
    twin = file.with_suffix(".ps1")

    def called(script: Path) -> Counter[tuple[object, ...]]:
        return Counter((c.program, c.verbs, c.options) for c in commands(script.read_text(), "az", "azd") if c.words)

    assert called(file) == called(twin)


@pytest.mark.parametrize("file", SH, ids=lambda file: file.name)
def test_both_shells_ask_for_the_same_settings(file: Path):
    def asked(text: str) -> set[str]:
        return set(re.findall(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+", text)) - {
            "IOT_HUB_APPLICATION",
            "DPS_AUDIENCE",
            "ADR_API",
            "DPS_API",
        }

    assert asked(file.read_text()) == asked(file.with_suffix(".ps1").read_text())


@pytest.mark.parametrize("file", sorted(HOOKS.glob("*.json")), ids=lambda file: file.name)
def test_every_template_is_json(file: Path):
    json.loads(file.read_text())


def test_the_registration_has_exactly_the_apps_roles():
    from shared.schemas.access import Role

    roles = json.loads((HOOKS / "app-registration.json").read_text())["appRoles"]
    assert {role["value"] for role in roles} == {role.value for role in Role}
    assert len({role["id"] for role in roles}) == len(roles)


def test_the_enrollment_group_is_one_that_dps_would_take():
    group = json.loads((HOOKS / "enrollment-group.json").read_text())
    assert (group["attestation"]["type"], group["provisioningStatus"]) == ("x509", "enabled")
    assert set(re.findall(r"\{(\w+)\}", (HOOKS / "enrollment-group.json").read_text())) == {
        "group",
        "ca",
        "policy",
        "hub",
    }
