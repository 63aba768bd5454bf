"""`fleetcert backup` and `fleetcert restore`: the fleet's table as a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.status import Status

from fleetcert.cli.api import LOCAL_AZURE
from fleetcert.operating.connections import Connections

if TYPE_CHECKING:
    from azure.data.tables import TableClient

TableName = Annotated[str | None, typer.Option("--table", help="The fleet's table; the app's setting by default.")]


def backup(
    out: Annotated[Path, typer.Argument(help="The file to write, e.g. fleet.jsonl.gz.")], table: TableName = None
) -> None:
    """Back the fleet's table up into a file; the app may run. A run that was cut short goes on where it was."""
    from fleetcert.operating.backup import back_up, check_backup

    console = Console()
    with _table(table) as client, console.status("reading") as status:
        back_up(client, out, lambda partition, rows: _tell(status, f"{partition}: {rows} rows"))
        status.update("checking the file")
        header, tally = check_backup(out)
    console.print(f"{out}: {tally.rows} rows of {header['table']}, taken at {header['takenAt']}; the file is sound.")


def restore(
    source: Annotated[Path, typer.Argument(help="The file that `fleetcert backup` wrote.")],
    table: TableName = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is in the table.")] = False,
) -> None:
    """Restore a backup into an empty table. Stop the app first; a run that was cut short goes on where it was."""
    from fleetcert.operating.restore import restore as bring_back

    console = Console()
    with _table(table) as client, console.status("checking the file") as status:
        tally = bring_back(client, source, lambda what, rows: _tell(status, f"{rows} rows {what}"), force=force)
    console.print(f"{tally.rows} rows are back, as the backup has them. The app may be started.")


def _table(name: str | None) -> TableClient:
    connections = Connections.from_environment(os.environ, LOCAL_AZURE)
    return connections.table(name or connections.name_of("FLEET_TABLE", "fleet"))


def _tell(status: Status, text: str) -> None:
    status.update(text)
