"""`fleetcert onboard ...`: the CA and the bootstrap credentials that devices are shipped with, and their enrollment."""

from __future__ import annotations

import typer

from fleetcert.cli.onboarding import ca, device, enrollment, everything, fleet, group, inventory

app = typer.Typer(help="Bootstrap credentials and enrollment.", no_args_is_help=True)
app.command("setup")(everything.setup)
app.command("status")(everything.status)
app.add_typer(ca.app, name="ca")
app.add_typer(device.app, name="device")
app.add_typer(fleet.app, name="fleet")
app.add_typer(group.app, name="group")
app.add_typer(enrollment.app, name="enrollment")
app.add_typer(inventory.app, name="inventory")
