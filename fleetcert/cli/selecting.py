"""Which devices a command is about: filters of lists, and selectors of bulk requests, as options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

States = Annotated[list[str] | None, typer.Option("--state", help="Devices in this state; may be given several times.")]
Before = Annotated[str | None, typer.Option(help="Certificates that end before this instant (RFC 3339).")]
After = Annotated[str | None, typer.Option(help="Certificates that end at this instant or later (RFC 3339).")]
Issuer = Annotated[str | None, typer.Option(help="The issuing CA: its key id in hex, or its name (RFC 4514).")]
Tag = Annotated[str | None, typer.Option(help="Devices with this tag of the twin, as name=value.")]
Text = Annotated[str | None, typer.Option(help="Part of an id, a group, a thumbprint or a tag.")]

Devices = Annotated[list[str] | None, typer.Argument(help="Device ids: one is acted on at once, several are many.")]
IdsFrom = Annotated[Path | None, typer.Option(help="Device ids from a file, one a line; `-` is standard input.")]
Group = Annotated[str | None, typer.Option("--group", help="Devices of this enrollment group.")]
Authority = Annotated[str | None, typer.Option("--issuer", help="Devices under this CA: thumbprint or key id, in hex.")]
State = Annotated[str | None, typer.Option(help="Devices in this state.")]
Expiring = Annotated[str | None, typer.Option(help="Devices whose certificate ends before then (RFC 3339).")]


def filters(
    states: Sequence[str] | None,
    before: str | None,
    after: str | None,
    issuer: str | None,
    tag: str | None,
    text: str | None,
) -> dict[str, str]:
    """The query of a list, and in another form the body of an export."""
    given = {
        "state": ",".join(states or ()),
        "expiresBefore": before,
        "expiresAfter": after,
        "issuer": issuer,
        "tag": tag,
        "text": text,
    }
    return {name: value for name, value in given.items() if value}


def selector(
    devices: Sequence[str] | None,
    ids_from: Path | None,
    tag: str | None,
    group: str | None,
    issuer: str | None,
    state: str | None,
    expiring_before: str | None,
) -> dict[str, Any]:
    """The one way by which devices are chosen. Raises: typer.BadParameter where it is none, or several."""
    given = {
        "ids": [*(devices or ()), *(_ids(ids_from) if ids_from else ())],
        "tag": tag,
        "enrollmentGroup": group,
        "issuer": issuer,
        "state": state,
        "expiringBefore": expiring_before,
    }
    chosen = {name: value for name, value in given.items() if value}
    if len(chosen) != 1:
        raise typer.BadParameter(
            "choose devices in exactly one way: DEVICES (or --ids-from), --tag, --group, --issuer, --state or "
            "--expiring-before"
        )
    return chosen


def _ids(path: Path) -> list[str]:
    text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip()]
