"""`fleetcert fleet ...`: the HTTP API for people."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fleetcert.cli.api import FleetApi

app = typer.Typer(help="The fleet, through the HTTP API.", no_args_is_help=True)

DeviceId = Annotated[str, typer.Argument(help="The device's id.")]
Reason = Annotated[str, typer.Option(help="Why, for the history.")]

_STYLES = {"valid": "green", "due": "yellow", "commanded": "yellow", "overdue": "red", "expired": "red"}


@app.callback()
def main() -> None:
    """The fleet, through the HTTP API: that of the local Azure, or of FLEETCERT_URL with the token FLEETCERT_TOKEN."""


@app.command("list")
def list_devices(
    limit: Annotated[int, typer.Option(min=1, help="How many devices at most.")] = 100,
) -> None:
    """Devices by the expiry of their certificate, the earliest first."""
    table = Table("device", "state", "valid until", "reason", "evidence", "thumbprint")
    with FleetApi.from_environment(os.environ) as api:
        for device in api.devices(limit):
            table.add_row(*_columns(device))
    Console().print(table)


@app.command()
def show(device_id: DeviceId) -> None:
    """Everything that is known of a device."""
    with FleetApi.from_environment(os.environ) as api:
        _print_document(api.device(device_id))


@app.command()
def renew(device_id: DeviceId, reason: Reason) -> None:
    """Ask a device to renew its certificate now."""
    with FleetApi.from_environment(os.environ) as api:
        _print_document(api.act(device_id, "renew", {"reason": reason}))


@app.command()
def disable(
    device_id: DeviceId,
    reason: Reason,
    onboarding_cert: Annotated[
        typer.FileText | None, typer.Option(help="PEM: the onboarding certificate, where fleetcert does not know it.")
    ] = None,
) -> None:
    """Shut a device out: at the hub, and at DPS."""
    body = {"reason": reason} | ({"onboardingPem": onboarding_cert.read()} if onboarding_cert else {})
    with FleetApi.from_environment(os.environ) as api:
        _print_document(api.act(device_id, "disable", body))


def _columns(device: Mapping[str, Any]) -> tuple[str, ...]:
    state = str(device["state"])
    style = _STYLES.get(state)
    return (
        device["deviceId"],
        f"[{style}]{state}[/]" if style else state,
        device["validUntil"] or "-",
        device["reason"],
        device["evidence"] or "-",
        (device["thumbprint"] or "-")[:16],
    )


def _print_document(document: Mapping[str, Any]) -> None:
    table = Table(show_header=False, box=None)
    for name, value in _flat(document):
        table.add_row(name, value)
    Console().print(table)


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", str(value)
