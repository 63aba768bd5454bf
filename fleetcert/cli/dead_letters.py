"""`fleetcert dead-letters ...`: events that could not be recorded."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fleetcert.cli.api import LOCAL_AZURE
from fleetcert.operating.connections import Connections

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

    from fleetcert.operating.dead_letters import DeadLetter, Outcome

app = typer.Typer(help="Events that could not be recorded.", no_args_is_help=True)

EventId = Annotated[str, typer.Argument(help="{event hub}/{partition}/{sequence number}, as `list` shows it.")]
Hub = Annotated[str | None, typer.Option(help="Those of one event hub.")]
WithReason = Annotated[str | None, typer.Option("--reason", help="Those with this text in their reason.")]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]


@app.callback()
def main() -> None:
    """Events that could not be recorded: of the local Azure, or of FLEETCERT_STORAGE_ACCOUNT by your own identity.

    A replay also needs FLEETCERT_EVENT_HUBS, the namespace, and the role Azure Event Hubs Data Sender.
    """


@app.command("list")
def list_letters(hub: Hub = None, reason: WithReason = None, limit: Limit = 100) -> None:
    """Dead letters with their reason and age."""
    from fleetcert.operating.dead_letters import Selector, read_all

    with _container() as container:
        letters = read_all(container, Selector(hub=hub, reason=reason), limit + 1)
    table = Table("event", "age", "reason", "replayed", "replay of")
    for letter in letters[:limit]:
        table.add_row(*_columns(letter, datetime.now(UTC)))
    console = Console()
    console.print(table)
    if len(letters) > limit:
        console.print(f"There are more than {limit}: use --limit.")


@app.command()
def show(event_id: EventId) -> None:
    """One dead letter with its properties and its bytes."""
    from fleetcert.operating.dead_letters import read_one

    with _container() as container:
        letter = read_one(container, event_id)
    console = Console(soft_wrap=True)
    console.print_json(data={**_without_body(letter), "keptAt": letter.kept_at.isoformat()}, default=str)
    console.print("body:", style="bold")
    console.print(letter.body().decode(errors="backslashreplace"), markup=False, highlight=False)


@app.command()
def replay(
    event_id: Annotated[str | None, typer.Argument(help="One dead letter, which is sent at once.")] = None,
    hub: Hub = None,
    reason: WithReason = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    again: Annotated[bool, typer.Option(help="Also those that were replayed already.")] = False,
    limit: Limit = 100,
    execute: Annotated[bool, typer.Option("--execute", help="Do it: without this, many are only listed.")] = False,
) -> None:
    """Send dead letters to their event hub again, as they were, marked as replays of the original event.

    Takes one event id, or exactly one of --hub, --reason and --all. Exit code 1 where one could not be sent.
    """
    from fleetcert.operating.dead_letters import Selector, dry_run, read_all, read_one
    from fleetcert.operating.dead_letters import replay as send

    if sum((event_id is not None, hub is not None, reason is not None, every)) != 1:
        raise typer.BadParameter("give one event id, or exactly one of --hub, --reason and --all")
    connections = _connections()
    with _container() as container:
        if event_id is not None:
            letters, execute = [read_one(container, event_id)], True
        else:
            letters = read_all(container, Selector(hub=hub, reason=reason, again=again), limit + 1)

        def outcome(letter: DeadLetter) -> Outcome:
            return send(container, letter, connections.producer) if execute else dry_run(letter)

        failed = _report(outcome(letter) for letter in letters[:limit])
    if not execute:
        Console().print("Nothing was sent: add --execute.")
    if len(letters) > limit:
        Console().print(f"There are more than {limit}: run it again, or use --limit.")
    raise typer.Exit(1 if failed else 0)


def _report(outcomes: Iterable[Outcome]) -> int:
    """Prints what came of each; how many failed."""
    table, failed = Table("event", "outcome", "problem"), 0
    for outcome in outcomes:
        table.add_row(outcome.event_id, outcome.what, outcome.problem)
        failed += outcome.what == "not replayed"
    Console().print(table)
    return failed


def _columns(letter: DeadLetter, now: datetime) -> tuple[str, ...]:
    replayed = f"{_age(now - letter.replayed_at)} ago" if letter.replayed_at else ""
    return (
        letter.event_id,
        _age(now - letter.kept_at),
        letter.reason or "(unreadable)",
        replayed,
        letter.replay_of or "",
    )


def _age(age: timedelta) -> str:
    """The two largest units are enough: `3d 4h`, `5m 12s`."""
    seconds = max(0, int(age.total_seconds()))
    units = (("d", seconds // 86400), ("h", seconds // 3600 % 24), ("m", seconds // 60 % 60), ("s", seconds % 60))
    first = next((place for place, (_, count) in enumerate(units) if count), len(units) - 1)
    return " ".join(f"{count}{unit}" for unit, count in units[first : first + 2])


def _without_body(letter: DeadLetter) -> dict[str, Any]:
    return {name: value for name, value in letter.document.items() if name != "body"}


def _connections() -> Connections:
    return Connections.from_environment(os.environ, LOCAL_AZURE)


def _container() -> ContainerClient:
    connections = _connections()
    return connections.container(connections.name_of("DEAD_LETTERS", "dead-letters"))
