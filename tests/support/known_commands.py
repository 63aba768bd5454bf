"""Which commands exist: of Azure's tools by a list with its sources, of ours by asking them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import typer
from support.bicep import ROOT
from support.shell_commands import Command

from fleetcert.cli.app import app

LIST: Final = json.loads((ROOT / "tests/unit/infra/known_commands.json").read_text())
_EVERY_AZ: Final = frozenset({"--output", "--query", "--subscription"})
_TREE: Final = typer.main.get_command(app)
_TARGETS: Final = frozenset(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def complaint(command: Command) -> str | None:
    """What is wrong with a call of az, azd, fleetcert or make; None where nothing is."""
    match command.program:
        case "az" | "azd":
            return _of_azure(command)
        case "fleetcert":
            return _of_ours(command)
        case "make":
            unknown = [word for word in command.words if word not in _TARGETS and "=" not in word]
            return f"make has no {unknown[0]}" if unknown else None
    raise AssertionError(f"nobody knows the commands of {command.program}")


def _of_azure(command: Command) -> str | None:
    known = _listed(command.program)
    names = (" ".join(command.verbs[:length]) for length in range(len(command.verbs), 0, -1))
    name = next((name for name in names if name in known), None)
    if name is None:
        return f"{command.program} {' '.join(command.verbs)} is not in tests/unit/infra/known_commands.json"
    unknown = command.options - set(known[name]) - (_EVERY_AZ if command.program == "az" else frozenset())
    return f"{command.program} {name} has no {', '.join(sorted(unknown))}" if unknown else None


def _listed(program: str) -> dict[str, list[str]]:
    """Command -> its options, of the program and its extensions."""
    return {
        name: options
        for source, entry in LIST.items()
        if source.split()[0] == program
        for name, options in entry["commands"].items()
    }


def _of_ours(command: Command) -> str | None:
    found: Any = _TREE
    path = "fleetcert"
    for word in command.words:
        below = getattr(found, "commands", None)  # only groups have some
        if below is None:
            break
        if word not in below:
            return f"{path} has no {word}"
        found, path = below[word], f"{path} {word}"
    unknown = command.options - (
        _told(path) if found.context_settings.get("allow_extra_args") else set(_options(found))
    )
    return f"{path} has no {', '.join(sorted(unknown))}" if unknown else None


@cache
def _told(path: str) -> set[str]:
    """The options of a command that passes them on, as it tells them itself."""
    words = [sys.executable, "-m", *path.split(), "--help"]
    return set(re.findall(r"--[a-z-]+", subprocess.run(words, capture_output=True, text=True, check=True).stdout))


def _options(command: Any) -> Iterator[str]:
    yield "--help"
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
