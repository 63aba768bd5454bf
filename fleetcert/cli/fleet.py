"""`fleetcert fleet ...`: the HTTP API for people and for scripts."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fleetcert.cli import fleet_actions, fleet_rulings, fleet_work
from fleetcert.cli.api import FleetApi, device_path
from fleetcert.cli.output import Document, Form, Output, plain, show_document, show_json, show_rows, styled
from fleetcert.cli.selecting import After, Before, Issuer, States, Tag, Text, filters

app = typer.Typer(no_args_is_help=True)
app.command()(fleet_actions.renew)
app.command()(fleet_actions.disable)
app.command()(fleet_actions.enable)
app.command()(fleet_actions.revoke)
app.command()(fleet_work.export)
app.command()(fleet_rulings.rulings)
app.command()(fleet_rulings.pause)
app.command()(fleet_rulings.resume)
app.command()(fleet_rulings.suppress)
app.command()(fleet_rulings.lift)
app.add_typer(fleet_work.operations, name="operations")

DeviceId = Annotated[str, typer.Argument(help="The device's id.")]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]

_LINE = ("deviceId", "state", "validUntil", "reason", "evidence", "enrollmentGroup", "tags", "thumbprint")
_CHANGE = ("at", "kind", "actor.name", "reason", "details")


@app.callback()
def main() -> None:
    """The fleet, through the HTTP API: that of the local Azure, or of FLEETCERT_URL with the token FLEETCERT_TOKEN.

    Exit codes: 0 done; 1 refused, failed, or not done for all; 2 a command line that cannot be meant.
    """


@app.command("list")
def list_devices(
    limit: Limit = 100,
    state: States = None,
    expires_before: Before = None,
    expires_after: After = None,
    issuer: Issuer = None,
    tag: Tag = None,
    text: Text = None,
    output: Output = Form.TABLE,
) -> None:
    """Devices by the expiry of their certificate, the earliest first; filters that are given all have to fit."""
    wanted = filters(state, expires_before, expires_after, issuer, tag, text)
    with FleetApi.from_environment(os.environ) as api:
        show_rows(output, api.pages("devices", "devices", limit, wanted), _LINE)


@app.command()
def show(device_id: DeviceId, output: Output = Form.TABLE) -> None:
    """Everything that is known of a device."""
    with FleetApi.from_environment(os.environ) as api:
        show_document(output, api.get(device_path(device_id)))


@app.command()
def history(device_id: DeviceId, limit: Limit = 50, output: Output = Form.TABLE) -> None:
    """What happened to a device, who did it and why, the newest first."""
    with FleetApi.from_environment(os.environ) as api:
        show_rows(output, api.pages(device_path(device_id, "history"), "changes", limit), _CHANGE)


@app.command()
def summary(output: Output = Form.TABLE) -> None:
    """The fleet at a glance: the last snapshot, and what is due today."""
    with FleetApi.from_environment(os.environ) as api:
        document = api.get("fleet/summary")
    if output is Form.JSON:
        show_json(document)
    else:
        _show_summary(document)


def _show_summary(document: Document) -> None:
    console, snapshot = Console(), document["snapshot"]
    if snapshot is None:
        console.print("No snapshot was taken yet.")
    else:
        console.print(f"{snapshot['total']} devices at {plain(snapshot['asOf'])}")
        console.print(_counts("state", [(styled(state), n) for state, n in snapshot["states"].items()]))
        console.print(_counts("reason", [(plain(r["reason"]), r["count"]) for r in snapshot["topReasons"]]))
        console.print(_counts("expires within", [(plain(name), n) for name, n in snapshot["expiry"].items()]))
        ahead = [(plain(r["day"]), r["count"]) for r in snapshot["renewals"] if r["count"]]
        console.print(_counts("renewals ahead", ahead))
    more = " or more" if document["moreDue"] else ""
    console.print(f"due today: {len(document['due'])}{more}")


def _counts(name: str, counts: list[tuple[str, int]]) -> Table:
    """Counts with bars as long as they are large."""
    table = Table(name, "devices", "")
    most = max((count for _, count in counts), default=0)
    for label, count in counts:
        table.add_row(label, str(count), "█" * (count * 30 // most if most else 0))
    return table
