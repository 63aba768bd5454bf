"""The `fleetcert` command: devices, onboarding, the fleet, and the local Azure."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fleetcert.cli import audit, backup, dead_letters, device, fleet, local, onboard, reconcile
from fleetcert.cli.chart_library import bring_chart_library
from fleetcert.cli.package import build_package
from shared.errors import FleetcertError

app = typer.Typer(
    name="fleetcert",
    help="Operational certificates of Azure IoT fleets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(local.app, name="local")
app.add_typer(onboard.app, name="onboard")
app.add_typer(device.app, name="device")
app.add_typer(fleet.app, name="fleet")
app.add_typer(audit.app, name="audit")
app.add_typer(dead_letters.app, name="dead-letters")
app.command()(backup.backup)
app.command()(backup.restore)
app.add_typer(reconcile.app, name="reconcile")


@app.command()
def package(
    out: Annotated[Path, typer.Argument(help="The zip to write.")] = Path("dist/app.zip"),
) -> None:
    """Build what Azure Functions deploys, the same bytes for the same sources."""
    bring_chart_library()
    Console().print(f"{build_package(out)} is ready to be deployed.")


def main() -> None:
    """Runs the command; errors that are raised on purpose are one line, and exit code 1."""
    try:
        app()
    except FleetcertError as problem:
        Console(stderr=True).print(f"error: {problem}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
