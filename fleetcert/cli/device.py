"""`fleetcert device ...`: the reference agent as a program, and a look at what it holds."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from fleetcert.cli.api import LOCAL_AZURE

app = typer.Typer(help="The reference device agent.", no_args_is_help=True)

_FROM_LOCAL_AZURE: Final = {
    "FLEETCERT_DPS_ENDPOINT": "dps_endpoint",
    "FLEETCERT_ID_SCOPE": "dps_id_scope",
    "FLEETCERT_CA_BUNDLE": "ca_bundle",
    "FLEETCERT_MQTT_PORT": "mqtt_port",
}
_PASSED_ON: Final = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
"""The program has the options, since a device has the program alone."""


@app.callback()
def main() -> None:
    """The reference device agent."""


@app.command("run", context_settings=_PASSED_ON)
def run_device(context: typer.Context) -> None:
    """Onboard a device and keep it connected and renewed until Ctrl-C; `run --help` lists the options.

    It writes one JSON line an event. Where a local Azure runs, its addresses are the defaults.
    """
    from fleetcert.device.program import main as run_agent

    raise typer.Exit(run_agent(context.args, {**_local_azure(), **os.environ}))


@app.command("status", context_settings=_PASSED_ON)
def show_status(context: typer.Context) -> None:
    """Show what a device holds, as JSON: state, certificates, and what it has not told the cloud yet.

    `status DIRECTORY` is the device's state directory; without it FLEETCERT_STATE_DIR is.
    """
    from fleetcert.device.program import main as run_agent

    raise typer.Exit(run_agent(["status", *context.args], os.environ))


@app.command("conform")
def conform(
    command: Annotated[list[str], typer.Argument(help="The device: a program that reads FLEETCERT_*, after `--`.")],
    only: Annotated[list[str] | None, typer.Option(help="A scenario to play; again for more.")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=16, help="How many are played at a time.")] = 4,
    patience: Annotated[float, typer.Option(min=5, help="Seconds for each expectation.")] = 60,
    short_life: Annotated[int, typer.Option(min=20, help="Seconds for certificates that are to end.")] = 30,
    report: Annotated[Path | None, typer.Option(help="Where the verdicts go as JSON.")] = None,
) -> None:
    """Play the scenarios of the device contract with any device, against a local Azure of their own.

    Exits with 0 only if it passed all of them. docs/device-contract.md tells what a device is given and must do.
    """
    from rich.console import Console

    from fleetcert.local.conformance.run import Plan
    from fleetcert.local.conformance.run import conform as play

    if shutil.which(command[0]) is None:
        raise typer.BadParameter(f"{command[0]} is no program", param_hint="COMMAND")
    plan = Plan(command, frozenset(only or ()), jobs, patience, short_life)
    verdicts = play(plan, Console())
    if report:
        report.write_text(json.dumps([verdict.to_wire() for verdict in verdicts], indent=2) + "\n")
    raise typer.Exit(0 if all(verdict.has_passed for verdict in verdicts) else 1)


def _local_azure() -> Mapping[str, str]:
    if not LOCAL_AZURE.exists():
        return {}
    local = json.loads(LOCAL_AZURE.read_text())
    return {variable: str(local[name]) for variable, name in _FROM_LOCAL_AZURE.items() if name in local}
