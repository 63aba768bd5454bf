"""How the command line shows what the API answers: tables for people, JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

type Document = Mapping[str, Any]

STYLES: Final = {
    "valid": "green",
    "done": "green",
    **dict.fromkeys(("due", "dispatching", "commanded", "provisional", "running"), "yellow"),
    **dict.fromkeys(("overdue", "expired", "failed"), "red"),
    **dict.fromkeys(("disabled", "cancelled", "retired"), "magenta"),
}


class Form(StrEnum):
    """How answers are shown."""

    TABLE = "table"
    JSON = "json"


Output = Annotated[Form, typer.Option("--output", "-o", help="`json` is for scripts.")]


def show_rows(form: Form, documents: Iterable[Document], columns: Sequence[str]) -> None:
    """Documents as a table of some members (`a.b` is a member's member), or all that they hold as a JSON array."""
    if form is Form.JSON:
        show_json(list(documents))
        return
    table = Table(*columns)
    for document in documents:
        table.add_row(*(_cell(name, _member(document, name)) for name in columns))
    Console().print(table)


def show_document(form: Form, document: Document) -> None:
    """A document member by member, without those that are null, or as JSON."""
    if form is Form.JSON:
        show_json(document)
        return
    table = Table(show_header=False, box=None)
    for name, value in _flat(document):
        table.add_row(name, plain(value))
    Console().print(table)


def show_json(document: Any) -> None:
    """Plain JSON on standard output, whatever the terminal is."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def plain(value: Any) -> str:
    """A text that neither rich nor the terminal takes for an order."""
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value)))


def styled(state: str) -> str:
    """A state in its colour."""
    style = STYLES.get(state)
    return f"[{style}]{plain(state)}[/]" if style else plain(state)


def _cell(name: str, value: Any) -> str:
    if value is None or value == "":
        return "-"
    if name == "state":
        return styled(str(value))
    if name == "thumbprint":
        return plain(str(value)[:16])
    if isinstance(value, Mapping):
        return plain(", ".join(f"{key}={member}" for key, member in value.items())) or "-"
    return plain(value)


def _member(document: Document, name: str) -> Any:
    found: Any = document
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _flat(document: Document, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        match value:
            case Mapping():
                yield from _flat(value, f"{prefix}{name}.")
            case list():
                yield from _flat({f"{name}[{place}]": member for place, member in enumerate(value)}, prefix)
            case None | "":
                continue
            case _:
                yield f"{prefix}{name}", value
