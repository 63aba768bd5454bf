"""Long work from the command line: a bar while it runs, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fleetcert.cli.api import FleetApi
from fleetcert.cli.output import Document, Form, plain, show_document

_FIRST_LOOK: Final = 0.2
_SLOWEST_LOOK: Final = 5.0


def followed(api: FleetApi, operation: Document) -> Document:
    """The operation at its end; meanwhile a bar on standard error. Raises: ApiError."""
    with _bar() as bar:
        task = bar.add_task(plain(operation["kind"]), total=None)
        for seen in _looks(api, operation):
            ended = seen["done"] + seen["failed"]
            waits = f" ({plain(seen['problem'])})" if seen["problem"] and seen["state"] == "running" else ""
            bar.update(task, completed=ended, total=seen["total"], description=plain(seen["kind"]) + waits)
            operation = seen
    return operation


def show_ended(form: Form, operation: Document) -> None:
    """The operation, and exit code 1 where it did not do all that it was to do."""
    show_document(form, operation)
    if operation["state"] != "done" or operation["failed"]:
        raise typer.Exit(1)


def bytes_bar() -> Progress:
    """A bar for what is downloaded."""
    return Progress(TextColumn("{task.description}"), BarColumn(), console=Console(stderr=True), transient=True)


def _looks(api: FleetApi, operation: Document) -> Iterator[Document]:
    wait = _FIRST_LOOK
    while operation["state"] == "running":
        yield operation
        time.sleep(wait)
        wait = min(wait * 1.5, _SLOWEST_LOOK)
        operation = api.get(f"operations/{operation['id']}")
    yield operation


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
