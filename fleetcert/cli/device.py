"""`fleetcert device run`: the reference agent as a program."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from fleetcert.cli.api import LOCAL_AZURE
from fleetcert.device.assembly import CloudAddress, build_agent, build_world
from fleetcert.device.credential import OnboardingCredential
from fleetcert.device.events import AgentEvent
from fleetcert.device.runner import StopSignal, run, run_until_told

app = typer.Typer(help="The reference device agent.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """The reference device agent."""


@app.command("run")
def run_device(
    registration_id: Annotated[str, typer.Option(help="The device's registration id at DPS.")],
    onboarding_cert: Annotated[Path, typer.Option(help="PEM: bootstrap certificate and its intermediates.")],
    onboarding_key: Annotated[Path, typer.Option(help="PEM: the bootstrap certificate's key.")],
    state_dir: Annotated[Path, typer.Option(help="Where the device keeps its keys and certificates.")],
    dps_endpoint: Annotated[str | None, typer.Option(help="Base URL of DPS.")] = None,
    id_scope: Annotated[str | None, typer.Option(help="DPS id scope.")] = None,
    ca_bundle: Annotated[Path | None, typer.Option(help="PEM: the CAs of DPS's and the hub's servers.")] = None,
    mqtt_port: Annotated[int | None, typer.Option(help="MQTT port of the hub; 8883 in Azure.")] = None,
) -> None:
    """Onboards the device and keeps it connected and renewed until Ctrl-C; writes one JSON line an event."""
    local = _local_azure()
    address = CloudAddress(
        dps_endpoint=_needed("--dps-endpoint", dps_endpoint or local.get("dps_endpoint")),
        id_scope=_needed("--id-scope", id_scope or local.get("dps_id_scope")),
        ca_bundle=Path(_needed("--ca-bundle", ca_bundle or local.get("ca_bundle"))),
        mqtt_port=mqtt_port or int(local.get("mqtt_port", 8883)),
    )
    try:
        onboarding = OnboardingCredential.load(onboarding_cert, onboarding_key)
    except (OSError, ValueError) as problem:
        raise typer.BadParameter(f"the onboarding credential cannot be used: {problem}") from problem
    stop = StopSignal()
    agent = build_agent(registration_id, onboarding, state_dir, build_world(address, onboarding, stop, _print))
    run_until_told([threading.Thread(target=run, args=(agent, stop), name=registration_id)], stop)


def _local_azure() -> dict[str, Any]:
    if not LOCAL_AZURE.exists():
        return {}
    document: dict[str, Any] = json.loads(LOCAL_AZURE.read_text())
    return document


def _needed[T](option: str, value: T | None) -> T:
    if value is None:
        raise typer.BadParameter(f"is needed, because there is no {LOCAL_AZURE}", param_hint=option)
    return value


def _print(event: AgentEvent) -> None:
    typer.echo(json.dumps(event.to_wire()))
