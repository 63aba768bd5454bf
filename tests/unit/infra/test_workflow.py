"""The workflow for the outside world runs what cannot be run here, with no more rights than it needs."""

from __future__ import annotations

import re

import yaml
from support import bicep
from support.known_commands import complaint
from support.shell_commands import commands

FILE = bicep.ROOT / ".github/workflows/infra.yml"
WORKFLOW = yaml.safe_load(FILE.read_text())
SCRIPTS = [step["run"] for job in WORKFLOW["jobs"].values() for step in job["steps"] if "run" in step]


def test_the_compiler_the_linter_and_all_tests_run():
    everything = "\n".join(SCRIPTS)
    for wanted in ("az bicep build --file infra/main.bicep", "az bicep lint", "make check", "make test"):
        assert wanted in everything


def test_it_says_that_this_is_what_cannot_be_done_here():
    assert "cannot be done where this project is built" in FILE.read_text().splitlines()[0]


def test_it_may_read_and_no_more():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert not re.search(r"secrets\.|id-token", FILE.read_text())


def test_every_command_exists():
    called = [command for script in SCRIPTS for command in commands(script, "az", "make")]
    assert [problem for command in called if (problem := complaint(command))] == []
