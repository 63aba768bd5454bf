"""docs/onboarding.md names every command, and the inventory's members as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import typer

from fleetcert.cli.onboard import app
from fleetcert.onboarding.inventory import InventoryLine

PAGE = (Path(__file__).parents[3] / "docs/onboarding.md").read_text()


def commands(part: typer.Typer, prefix: str = "") -> Iterator[str]:
    for command in part.registered_commands:
        yield f"{prefix}{command.name}"
    for group in part.registered_groups:
        assert group.typer_instance is not None
        yield from commands(group.typer_instance, f"{prefix}{group.name} ")


def test_every_command_is_on_the_page() -> None:
    named = list(commands(app))
    assert len(named) > 10
    assert [command for command in named if not re.search(rf"(onboard |`){command}\b", PAGE)] == []


def test_the_inventorys_members_are_those_of_the_page() -> None:
    section = PAGE.split("## The inventory file")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert listed == [field.encode_name for field in msgspec.structs.fields(InventoryLine)]
