"""`fleetcert audit ...`: the chain of what happened."""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from fleetcert.cli.api import LOCAL_AZURE
from fleetcert.operating.connections import Connections

app = typer.Typer(help="The audit: the chain of everything that happened.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """The audit: that of the local Azure, or of FLEETCERT_STORAGE_ACCOUNT by your own identity."""


@app.command("list")
def list_entries(
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%dT%H:%M:%S%z"], help="Changes at this instant or later (RFC 3339)."),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Changes of this kind, e.g. disableRequested.")] = None,
    container: Annotated[str | None, typer.Option(help="The audit's container; the app's setting by default.")] = None,
) -> None:
    """What the chain holds, one JSON object a line, the oldest first; `verify` says whether it can be believed."""
    from fleetcert.operating.audit import entries

    connections = Connections.from_environment(os.environ, LOCAL_AZURE)
    with connections.container(container or connections.name_of("AUDIT", "audit")) as blobs:
        for entry in entries(blobs, since, kind):
            typer.echo(json.dumps(entry, ensure_ascii=False))


@app.command()
def verify(
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="One day (UTC) alone, against the day before.")
    ] = None,
    head: Annotated[
        str | None, typer.Option(help="The hash of a line that was noted earlier: it must still be there.")
    ] = None,
    container: Annotated[str | None, typer.Option(help="The audit's container; the app's setting by default.")] = None,
) -> None:
    """Check the chain and name the first broken line; exit code 1 where there is one."""
    from fleetcert.operating.audit import verify as verdict_on

    connections = Connections.from_environment(os.environ, LOCAL_AZURE)
    with connections.container(container or connections.name_of("AUDIT", "audit")) as blobs:
        verdict = verdict_on(blobs, day.date() if day else None, head)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{verdict.lines} sound lines in {verdict.blobs} blobs; the last is {verdict.head.seq}")
    console.print(f"its hash: {verdict.head.hash}")
    if verdict.broken is not None:
        broken = verdict.broken
        console.print(f"BROKEN at {broken.blob}, line {broken.line}: {broken.problem}", style="red", markup=False)
    elif head and not verdict.found_anchor:
        console.print(f"BROKEN: no line has the hash {head}; lines are missing at the end", style="red")
    else:
        return
    raise typer.Exit(1)
