"""`fleetcert reconcile ...`: the walk through the whole fleet that puts the table right."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from fleetcert.cli.api import LOCAL_AZURE
from fleetcert.operating.connections import Connections
from shared.contracts import format_instant

if TYPE_CHECKING:
    from azure.data.tables import TableClient

    from shared.domain.passes import Pass

app = typer.Typer(help="Compare the table with the hub and with DPS, and put it right.", no_args_is_help=True)

Wait = Annotated[bool, typer.Option("--wait", help="Stay until no pass is under way and none is asked for.")]


@app.callback()
def main() -> None:
    """The table of the local Azure, or of FLEETCERT_STORAGE_ACCOUNT by your own identity."""


@app.command()
def start(wait: Wait = False) -> None:
    """Ask the app for a pass now; exit code 1 where it is waited for and gives up."""
    from fleetcert.operating.reconcile import ask_for_a_pass

    with _table() as table:
        asked_at = ask_for_a_pass(table)
        Console().print(f"A pass is asked for ({format_instant(asked_at)}): the app begins it at its next tick.")
        if wait:
            _show(_followed(table))


@app.command()
def status(wait: Wait = False) -> None:
    """Show the pass that is under way, or the last one; exit code 1 where it gave up."""
    from fleetcert.operating.reconcile import latest_pass

    with _table() as table:
        _show(_followed(table) if wait else latest_pass(table))


def _table() -> TableClient:
    connections = Connections.from_environment(os.environ, LOCAL_AZURE)
    return connections.table(connections.name_of("FLEET_TABLE", "fleet"))


def _followed(table: TableClient) -> Pass | None:
    from fleetcert.operating.reconcile import followed

    latest: Pass | None = None
    with _bar() as bar:
        task = bar.add_task("waiting", total=None)
        for latest in followed(table):
            if latest is not None:
                done, total = latest.progress
                bar.update(task, description=latest.phase, completed=done, total=total or None)
    return latest


def _bar() -> Progress:
    return Progress(TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), console=Console())


def _show(latest: Pass | None) -> None:
    if latest is None:
        Console().print("There was no pass yet.")
        return
    done, total = latest.progress
    table = Table(show_header=False, box=None)
    table.add_row("pass", latest.id)
    table.add_row("phase", f"{latest.phase} {done}/{total}" if latest.finished_at is None else str(latest.phase))
    table.add_row("started", format_instant(latest.started_at))
    table.add_row("finished", format_instant(latest.finished_at) if latest.finished_at else "-")
    for name in (
        *("expected", "listed", "found", "repaired", "unchanged", "unreadable"),
        *("registrations", "looked_at", "gone", "recontained", "restarts"),
    ):
        table.add_row(name.replace("_", " "), str(getattr(latest, name)))
    Console().print(table)
    if latest.failure:
        Console(stderr=True).print(f"the pass gave up: {latest.failure}", style="red")
        raise typer.Exit(1)
