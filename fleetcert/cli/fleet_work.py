"""`fleetcert fleet export|operations`: long work, followed to its end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer
from rich.console import Console

from fleetcert.cli.api import FleetApi
from fleetcert.cli.following import bytes_bar, followed, show_ended
from fleetcert.cli.output import Form, Output, plain, show_document, show_rows
from fleetcert.cli.selecting import After, Before, Issuer, States, Tag, Text, filters

operations = typer.Typer(help="Long work: bulk requests and exports.", invoke_without_command=True)

Id = Annotated[str, typer.Argument(help="The operation's id.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]
File = Annotated[Path, typer.Argument(help="The CSV file to write; `-` is standard output.")]
Wait = Annotated[bool, typer.Option("--wait", help="Stay until it has ended; exit code 1 where it did not do all.")]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]

_COLUMNS: Final = ("id", "kind", "state", "done", "failed", "total", "createdAt", "actor.name", "reason")


def export(
    file: File,
    reason: Reason = "export from the command line",
    state: States = None,
    expires_before: Before = None,
    expires_after: After = None,
    issuer: Issuer = None,
    tag: Tag = None,
    text: Text = None,
) -> None:
    """Write the list of devices into a CSV file; filters that are given all have to fit."""
    wanted = filters(state, expires_before, expires_after, issuer, tag, text)
    body = wanted | ({"state": list(state)} if state else {})
    with FleetApi.from_environment(os.environ) as api:
        ended = followed(api, api.post("fleet/exports", {**body, "reason": reason}))
        if ended["state"] != "done":
            show_ended(Form.TABLE, ended)
        if str(file) == "-":
            _download(api, ended["id"], sys.stdout.buffer)
            return
        with file.open("wb") as out:
            _download(api, ended["id"], out)
    Console(stderr=True).print(f"{ended['result']['rows']} devices in {plain(file)}")


@operations.callback()
def main(context: typer.Context, limit: Limit = 20, output: Output = Form.TABLE) -> None:
    """Long work, the newest first."""
    if context.invoked_subcommand is None:
        with FleetApi.from_environment(os.environ) as api:
            show_rows(output, api.pages("operations", "operations", limit), _COLUMNS)


@operations.command()
def show(operation_id: Id, wait: Wait = False, output: Output = Form.TABLE) -> None:
    """How far an operation has come."""
    with FleetApi.from_environment(os.environ) as api:
        operation = api.get(f"operations/{operation_id}")
        if wait:
            show_ended(output, followed(api, operation))
        else:
            show_document(output, operation)


@operations.command()
def cancel(operation_id: Id, reason: Reason, output: Output = Form.TABLE) -> None:
    """End an operation after what it is at. What it has done stays done."""
    with FleetApi.from_environment(os.environ) as api:
        show_document(output, api.post(f"operations/{operation_id}/cancel", {"reason": reason}))


def _download(api: FleetApi, operation_id: str, out: BinaryIO) -> None:
    with bytes_bar() as bar:
        task = bar.add_task("downloading", total=None)
        for done, size in api.download(f"operations/{operation_id}/content", out):
            bar.update(task, completed=done, total=size)
