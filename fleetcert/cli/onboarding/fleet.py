"""`fleetcert onboard fleet issue`: bootstrap credentials for every device of a CSV."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from fleetcert.cli.onboarding.options import (
    CERTS,
    LONGEST_DAYS,
    Directory,
    DryRun,
    ForceKeys,
    IntermediatePassphrase,
    KeyKind,
    KeyPassphrase,
    Keys,
    secret,
)
from fleetcert.onboarding.authority import load_issuing_authority
from fleetcert.onboarding.bootstrap import DeviceOptions
from fleetcert.onboarding.issuing import DEVICE_LIFE
from fleetcert.onboarding.workspace import DeviceFiles, Workspace

if TYPE_CHECKING:
    from fleetcert.onboarding.fleet import Tally
    from fleetcert.onboarding.roster import Rejected, Roster

INTERRUPTED: Final = 130
"""As shells have it for SIGINT."""
SHOWN: Final = 20
"""Bad lines on the screen; all of them are in the file."""

app = typer.Typer(help="Bootstrap certificates of many devices.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Bootstrap certificates of many devices."""


@app.command("issue")
def issue(
    roster: Annotated[Path, typer.Argument(help="CSV with a column registrationId, or one id a line.")],
    directory: Directory = CERTS,
    output: Annotated[Path | None, typer.Option(help="Where to write; DIRECTORY/fleet where not given.")] = None,
    days: Annotated[int, typer.Option(min=1, max=LONGEST_DAYS, help="The certificates' life.")] = DEVICE_LIFE.days,
    key_type: Keys = KeyKind.RSA,
    workers: Annotated[int, typer.Option(min=1, help="Processes; one for each processor by default.")] = (
        os.process_cpu_count() or 1
    ),
    key_passphrase: KeyPassphrase = None,
    intermediate_passphrase: IntermediatePassphrase = None,
    force: ForceKeys = False,
    dry_run: DryRun = False,
) -> None:
    """Issue for every device of a list, in parallel; run it again to go on where it was ended.

    Writes OUTPUT/devices/ID/, the inventory OUTPUT/inventory-NAME.jsonl, and where there are bad lines
    OUTPUT/rejected-NAME.csv. Exit code 1 where a line led to no credential.
    """
    from fleetcert.onboarding.roster import read_roster

    workspace, listed = Workspace(directory), read_roster(roster)
    folder = output or workspace.fleet
    if dry_run:
        _rehearse(listed, folder)
        return
    options = DeviceOptions(
        key_type=key_type.value,
        life=timedelta(days=days),
        key_passphrase=secret(key_passphrase, "the devices' keys", folder / "devices"),
        ca_passphrase=secret(intermediate_passphrase, "the intermediate's key", workspace.intermediate.key),
        force=force,
    )
    try:
        with Workspace(folder).locked():
            tally = _issue(listed, workspace, folder, roster.stem, options, workers)
    except KeyboardInterrupt:
        typer.echo("interrupted: what is issued is kept, run it again to go on", err=True)
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(1 if tally.rejected else 0)


def _issue(
    listed: Roster, workspace: Workspace, folder: Path, name: str, options: DeviceOptions, workers: int
) -> Tally:
    from fleetcert.onboarding.fleet import issue_fleet, processes, write_rejected

    authority = load_issuing_authority(workspace, options.ca_passphrase)
    inventory, rejected = folder / f"inventory-{name}.jsonl", folder / f"rejected-{name}.csv"
    with _bar() as bar, processes(min(workers, len(listed.devices) or 1)) as mapper:
        task = bar.add_task("issuing", total=len(listed.devices))
        tally = issue_fleet(
            listed, folder / "devices", inventory, authority, options, mapper, lambda n: bar.advance(task, n)
        )
    write_rejected(rejected, tally.rejected)
    _tell(tally, inventory, rejected)
    return tally


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _tell(tally: Tally, inventory: Path, rejected: Path) -> None:
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{tally.made} issued, {tally.kept} kept, {len(tally.rejected)} rejected; {inventory}", markup=False)
    if tally.rejected:
        _show(console, tally.rejected)
        console.print(f"all rejected lines: {rejected}", markup=False)


def _show(console: Console, rejected: Sequence[Rejected]) -> None:
    table = Table("line", "text", "reason")
    for one in rejected[:SHOWN]:
        table.add_row(str(one.line), ascii(one.text)[1:-1], one.reason)
    console.print(table, markup=False)


def _rehearse(listed: Roster, folder: Path) -> None:
    console = Console(soft_wrap=True, highlight=False)
    folders = (folder / "devices" / device.registration_id for device in listed.devices)
    there = sum(DeviceFiles.in_folder(one).certificate.exists() for one in folders)
    console.print(f"{len(listed.devices) - there} would be issued, {there} are there, {len(listed.rejected)} rejected")
    if listed.rejected:
        _show(console, listed.rejected)
    console.print("Nothing was changed.")
    raise typer.Exit(1 if listed.rejected else 0)
