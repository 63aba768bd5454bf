"""The locks hold every direct dependency, pinned and hashed, at a version that pyproject.toml admits."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = PROJECT["dependency-groups"]
LOCKS = {
    "requirements.txt": PROJECT["project"]["dependencies"],
    "requirements-dev.txt": [
        *PROJECT["project"]["dependencies"],
        *GROUPS["build"],
        *GROUPS["onboard"],
        *GROUPS["dev"],
    ],
    "requirements-build.txt": GROUPS["build"],
    "requirements-node.txt": GROUPS["node"],
}


def pins(lock: str) -> dict[str, tuple[str, int]]:
    """Package -> its version and how many hashes it has."""
    found: dict[str, tuple[str, int]] = {}
    name = ""
    for line in (ROOT / lock).read_text().splitlines():
        if pin := re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", line):
            name = canonicalize_name(pin[1])
            found[name] = (pin[2], 0)
        elif line.strip().startswith("--hash=sha256:"):
            version, hashes = found[name]
            found[name] = (version, hashes + 1)
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_direct_dependency_is_pinned_as_pyproject_admits_it(lock: str) -> None:
    pinned = pins(lock)
    for wanted in LOCKS[lock]:
        if isinstance(wanted, str):  # the others include another group
            requirement = Requirement(wanted)
            version, _ = pinned[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version, prereleases=True), wanted


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes_and_no_lock_names_a_registry(lock: str) -> None:
    assert all(hashes for _, hashes in pins(lock).values())
    assert "://" not in (ROOT / lock).read_text()


def test_what_is_tested_is_what_is_deployed() -> None:
    development = pins("requirements-dev.txt")
    assert all(development[name] == pin for name, pin in pins("requirements.txt").items())


def test_what_only_onboarding_needs_is_not_deployed() -> None:
    packages = {canonicalize_name(Requirement(wanted).name) for wanted in GROUPS["onboard"]}
    assert packages
    assert not packages & pins("requirements.txt").keys()


def test_the_lock_of_npm_names_no_registry() -> None:
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text()
