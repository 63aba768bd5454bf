"""`fleetcert local ...`: the local Azure."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Annotated

import typer
from rich.console import Console

from fleetcert.cli import local_alerts, local_app, local_drills
from fleetcert.local.config import LocalConfig

app = typer.Typer(help="The local Azure.", no_args_is_help=True)
app.add_typer(local_app.app, name="app")
app.add_typer(local_drills.app, name="drill")
app.command()(local_alerts.alerts)


@app.callback()
def main() -> None:
    """The local Azure."""


@app.command()
def up(
    without_app: Annotated[bool, typer.Option("--without-app", help="The emulated services alone.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what the services do.")] = False,
) -> None:
    """Start the local Azure with the app, until Ctrl-C.

    VALIDITY (seconds) sets how long operational certificates live; FLEETCERT_LOCAL_DIR where the files go.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("azure").setLevel(logging.WARNING)  # each request would be ten lines
    from fleetcert.local import up as local_azure  # a second of imports, which the other commands need not wait for

    config = LocalConfig.from_environment(os.environ, with_app=not without_app)
    asyncio.run(local_azure.run(config))


@app.command()
def demo(
    devices: Annotated[int, typer.Option(min=5, max=200, help="How many simulated devices.")] = 25,
) -> None:
    """Run the life of a simulated fleet, check every claim, and exit with 0 only if all of them held."""
    from fleetcert.local.demo.run import run

    raise typer.Exit(1 if run(devices, Console()).failures else 0)
