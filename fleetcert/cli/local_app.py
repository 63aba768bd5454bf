"""`fleetcert local app stop|start`: the app of a running local Azure, as `az functionapp stop|start` in Azure."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console

from fleetcert.cli.api import LOCAL_AZURE
from fleetcert.local.app_switch import start_stopped_app, stop_app
from shared.errors import FleetcertError

app = typer.Typer(help="Stop and start the app alone.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """The app of a running `make up`; the services go on, and what is for the app waits in them."""


@app.command()
def stop() -> None:
    """Stop the app, and return when it is gone."""
    stop_app(LOCAL_AZURE.parent, _url())
    Console().print("The app has stopped.")


@app.command()
def start() -> None:
    """Start the app again, and return when it is well."""
    start_stopped_app(LOCAL_AZURE.parent, _url())
    Console().print("The app is well.")


def _url() -> str:
    if not LOCAL_AZURE.exists():
        raise FleetcertError(f"there is no {LOCAL_AZURE}: run `make up`")
    azure: dict[str, Any] = json.loads(LOCAL_AZURE.read_text())
    if not azure["functions_url"]:
        raise FleetcertError("the local Azure runs without the app")
    return str(azure["functions_url"])
