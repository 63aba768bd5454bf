"""`fleetcert audit ...`: the chain of what happened."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from fleetcert.cli.api import LOCAL_AZURE, ApiError, FleetApi, device_path
from fleetcert.cli.output import Form, Output, show_rows
from fleetcert.operating.connections import Connections

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

    from fleetcert.operating.decisions import Decision

Container = Annotated[str | None, typer.Option(help="The audit's container; the app's setting by default.")]
Since = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%dT%H:%M:%S%z"], help="Changes at this instant or later (RFC 3339)."),
]

app = typer.Typer(help="The audit: the chain of everything that happened.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """The audit: that of the local Azure, or of FLEETCERT_STORAGE_ACCOUNT by your own identity."""


@app.command("list")
def list_entries(
    since: Since = None,
    kind: Annotated[str | None, typer.Option(help="Changes of this kind, e.g. disableRequested.")] = None,
    container: Container = None,
) -> None:
    """What the chain holds, one JSON object a line, the oldest first; `verify` says whether it can be believed."""
    from fleetcert.operating.audit import entries

    with _blobs(container) as blobs:
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
    container: Container = None,
) -> None:
    """Check the chain and name the first broken line; exit code 1 where there is one."""
    from fleetcert.operating.audit import verify as verdict_on

    with _blobs(container) as blobs:
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


@app.command()
def replay(
    since: Since = None,
    backup: Annotated[
        Path | None, typer.Option(help="The backup that was restored: what was decided since it was taken.")
    ] = None,
    execute: Annotated[bool, typer.Option("--execute", help="Do it: without this, it is only listed.")] = False,
    container: Container = None,
    output: Output = Form.TABLE,
) -> None:
    """Decide again, by the API, who is shut out and who is let in, where a restored table does not know it.

    The last decision of each device counts; one that holds already is left. A chain that is broken is not acted on:
    see `verify`. Exit code 1 for that, and where a decision could not be done.
    """
    from rich.progress import track

    from fleetcert.operating.audit import entries, require_sound
    from fleetcert.operating.backup import taken_at
    from fleetcert.operating.decisions import last_decisions

    if (since is None) == (backup is None):
        raise typer.BadParameter("give exactly one of --since and --backup")
    with _blobs(container) as blobs:
        require_sound(blobs)
        decisions = last_decisions(entries(blobs, since or (taken_at(backup) if backup else None)))
    with FleetApi.from_environment(os.environ) as api:
        watched = track(decisions, "asking the API", console=Console(stderr=True), transient=True)
        outcomes = [_outcome(api, decision, execute=execute) for decision in watched]
    show_rows(output, outcomes, ("deviceId", "decision", "at", "actor", "reason", "outcome"))
    if not execute and output is Form.TABLE:
        Console().print("Nothing was done: add --execute.")
    raise typer.Exit(1 if any(outcome["problem"] for outcome in outcomes) else 0)


def _outcome(api: FleetApi, decision: Decision, *, execute: bool) -> Mapping[str, Any]:
    """What becomes of a decision, as a row of the answer."""
    problem = ""
    try:
        if not decision.is_open(api.get(device_path(decision.device_id))):
            outcome = "holds"
        elif not execute:
            outcome = "to be done"
        else:
            api.post(device_path(decision.device_id, decision.verb), {"reason": decision.reason_again})
            outcome = "done again"
    except ApiError as refusal:
        outcome = problem = str(refusal)
    return {
        "deviceId": decision.device_id,
        "decision": decision.verb,
        "at": decision.at.isoformat(),
        "actor": decision.actor,
        "reason": decision.reason,
        "outcome": outcome,
        "problem": problem,
    }


def _blobs(container: str | None) -> ContainerClient:
    connections = Connections.from_environment(os.environ, LOCAL_AZURE)
    return connections.container(container or connections.name_of("AUDIT", "audit"))
