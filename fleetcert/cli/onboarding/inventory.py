"""`fleetcert onboard inventory ...`: the file that tells the app which onboarding certificates were issued."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from fleetcert.cli.api import LOCAL_AZURE
from fleetcert.operating.connections import Connections
from shared.errors import NotPossible

app = typer.Typer(help="The inventory of onboarding certificates.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """The inventory of onboarding certificates, for the app of the local Azure or of FLEETCERT_STORAGE_ACCOUNT."""


@app.command("build")
def build(
    folder: Annotated[Path, typer.Argument(help="Where device.pem files are, at any depth.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Write the inventory of devices that were issued already, by whatever tool."""
    from fleetcert.onboarding.inventory import found_in, write_inventory

    if out.exists() and not force:
        raise NotPossible(f"{out} exists, and is replaced only by --force")
    count = write_inventory(out, found_in(folder))
    Console(soft_wrap=True, highlight=False).print(f"{out}: {count} devices", markup=False)


@app.command("upload")
def upload(
    file: Annotated[Path, typer.Argument(help="An inventory, as `fleet issue` and `inventory build` write it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the file, and upload nothing.")] = False,
) -> None:
    """Bring an inventory to the app: a blob in its container `inventory`."""
    from fleetcert.onboarding.inventory_upload import CONTAINER, blob_name, check_inventory, upload_inventory

    count, name = check_inventory(file), blob_name(file, datetime.now(UTC))
    console = Console(soft_wrap=True, highlight=False)
    if dry_run:
        console.print(f"{count} devices would be uploaded as {CONTAINER}/{name}. Nothing was changed.", markup=False)
        return
    connections = Connections.from_environment(os.environ, LOCAL_AZURE)
    with connections.container(connections.name_of("INVENTORY", CONTAINER)) as container, _bar() as bar:
        task = bar.add_task("uploading", total=file.stat().st_size)
        upload_inventory(container, file, name, lambda size: bar.advance(task, size))
    console.print(f"{count} devices are in {CONTAINER}/{name}", markup=False)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
    )
