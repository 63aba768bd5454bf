"""`fleetcert device ...`: the reference agent as a program, and a look at what it holds."""

from __future__ import annotations

import json
import os
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


@app.command("status")
def show_status(
    state_dir: Annotated[Path, typer.Argument(help="The device's state directory.", envvar="FLEETCERT_STATE_DIR")],
) -> None:
    """Show what a device holds, as JSON: state, certificates, and what it has not told the cloud yet."""
    from fleetcert.device.glimpse import Glimpse

    try:
        seen = Glimpse.of(state_dir)
    except OSError as problem:
        raise typer.BadParameter(f"the state cannot be read: {problem}") from problem
    typer.echo(json.dumps(seen.to_wire(), indent=2))


def _local_azure() -> Mapping[str, str]:
    if not LOCAL_AZURE.exists():
        return {}
    local = json.loads(LOCAL_AZURE.read_text())
    return {variable: str(local[name]) for variable, name in _FROM_LOCAL_AZURE.items() if name in local}
