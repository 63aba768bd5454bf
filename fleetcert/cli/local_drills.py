"""`fleetcert local drill ...`: trouble on purpose, beside a running `make up`; docs/drills.md says what to do."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from fleetcert.cli.api import LOCAL_AZURE
from shared.errors import FleetcertError

if TYPE_CHECKING:
    from fleetcert.local.drills.stage import Stage

app = typer.Typer(help="Cause trouble in the local Azure, to practise (docs/drills.md).", no_args_is_help=True)

Count = Annotated[int, typer.Option("--devices", min=1, max=50, help="How many devices take part.")]


@app.callback()
def main() -> None:
    """Drills beside a running `make up`: they cause the trouble and tell what happens; the remedy is yours."""


@app.command("compromised-device")
def compromised_device(
    device: Annotated[str, typer.Option(help="The id of the device that is stolen.")] = "drill-stolen",
    seconds: Annotated[float, typer.Option(help="How long to wait for somebody to shut it out.")] = 900,
) -> None:
    """Onboard and run a device, and tell when hub and DPS refuse it; exit code 1 where they do not."""
    from fleetcert.local.drills import compromised_device as drill

    with _stage("compromised-device") as stage:
        drill.run(stage, device, seconds)


@app.command("revoked-issuer")
def revoked_issuer(devices: Count = 5) -> None:
    """Revoke the issuing CA under running devices, and tell how they come back."""
    from fleetcert.local.drills import revoked_issuer as drill

    with _stage("revoked-issuer") as stage:
        drill.run(stage, devices)


@app.command("storage-outage")
def storage_outage(
    devices: Count = 5, seconds: Annotated[float, typer.Option(min=5, max=60, help="How long it lasts.")] = 15
) -> None:
    """Stop storage for a while as devices renew, and tell how the records catch up."""
    from fleetcert.local.drills import storage_outage as drill

    with _stage("storage-outage") as stage:
        drill.run(stage, devices, seconds)


@app.command("lost-table")
def lost_table(
    compare: Annotated[bool, typer.Option("--compare", help="Compare what was restored with what was there.")] = False,
) -> None:
    """Delete the fleet's table. Take a backup first: `fleetcert backup`."""
    from fleetcert.local.drills import lost_table as drill

    with _stage("lost-table") as stage:
        (drill.compare if compare else drill.run)(stage)


@contextmanager
def _stage(name: str) -> Iterator[Stage]:
    from fleetcert.local.drills.stage import stage

    if not LOCAL_AZURE.exists():
        raise FleetcertError(f"there is no {LOCAL_AZURE}: drills run beside `make up`")
    logging.getLogger("azure").setLevel(logging.ERROR)
    with stage(json.loads(LOCAL_AZURE.read_text()), LOCAL_AZURE.parent / "drills" / name, typer.echo) as ready:
        yield ready
