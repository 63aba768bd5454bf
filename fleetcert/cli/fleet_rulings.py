"""`fleetcert fleet rulings|pause|resume|suppress|lift`: what operators rule for the whole fleet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from urllib.parse import quote

import msgspec
import typer
from rich.console import Console

from fleetcert.cli.api import FleetApi
from fleetcert.cli.output import Document, Form, Output, show_document, show_json, show_rows

Reason = Annotated[str, typer.Option(help="Why, for the audit.")]
Until = Annotated[str | None, typer.Option(help="When it ends by itself (RFC 3339).")]
For = Annotated[str | None, typer.Option("--for", help="How long it holds from now (ISO 8601), e.g. PT4H or P1D.")]
Tag = Annotated[str | None, typer.Option(help="Of devices with this tag of the twin alone, as name=value.")]
AlertType = Annotated[str, typer.Option(help="Alerts of this type, or `*` for every type.")]
Device = Annotated[str, typer.Option(help="Of this device, of `tag:name=value`, or `*` for every device.")]
Id = Annotated[str, typer.Argument(help="The suppression's id, as `rulings` shows it.")]

_COLUMNS: Final = ("ruling", "of", "until", "actor.name", "reason", "ruledAt", "id")


def rulings(output: Output = Form.TABLE) -> None:
    """Which pauses and suppressions stand now, whose they are, and why."""
    with FleetApi.from_environment(os.environ) as api:
        standing = api.get("fleet/rulings")
    if output is Form.JSON:
        show_json(standing)
    elif rows := list(_rows(standing)):
        show_rows(output, rows, _COLUMNS)
    else:
        Console().print("Nothing is paused, and no alert is suppressed.")


def pause(
    reason: Reason, until: Until = None, lasting: For = None, tag: Tag = None, output: Output = Form.TABLE
) -> None:
    """Hold renewal commands back, of the fleet or of a tag. A second pause of the same replaces the first."""
    body = {"until": _end(until, lasting), "reason": reason, **_given(tag)}
    with FleetApi.from_environment(os.environ) as api:
        show_document(output, api.post("fleet/pause", body))


def resume(reason: Reason, tag: Tag = None, output: Output = Form.TABLE) -> None:
    """End the pause of the fleet, or of a tag, now."""
    with FleetApi.from_environment(os.environ) as api:
        show_document(output, api.post("fleet/resume", {"reason": reason, **_given(tag)}))


def suppress(
    alert_type: AlertType,
    device: Device,
    reason: Reason,
    until: Until = None,
    lasting: For = None,
    output: Output = Form.TABLE,
) -> None:
    """Stop alerts from being told for a while; those about containment are told all the same."""
    body = {"alertType": alert_type, "device": device, "until": _end(until, lasting), "reason": reason}
    with FleetApi.from_environment(os.environ) as api:
        show_document(output, api.post("fleet/suppressions", body))


def lift(suppression_id: Id, reason: Reason, output: Output = Form.TABLE) -> None:
    """End a suppression now: its alerts are told again."""
    with FleetApi.from_environment(os.environ) as api:
        show_document(output, api.post(f"fleet/suppressions/{quote(suppression_id, safe='')}/lift", {"reason": reason}))


def _given(tag: str | None) -> dict[str, str]:
    return {} if tag is None else {"tag": tag}


def _end(until: str | None, lasting: str | None) -> str:
    """The instant that was meant. Raises: typer.BadParameter where it is said twice, not at all, or cannot be read."""
    if (until is None) is (lasting is None):
        raise typer.BadParameter("say when it ends in exactly one way: --until or --for")
    if until is not None:
        return until
    try:
        length = msgspec.convert(lasting, timedelta)
        return (datetime.now(UTC) + length).isoformat(timespec="seconds")
    except (msgspec.ValidationError, OverflowError) as problem:
        raise typer.BadParameter(f"{lasting!r} is no length of time: write e.g. --for PT4H") from problem


def _rows(standing: Document) -> Iterator[Document]:
    """Both kinds as lines of one table."""
    for one in standing["pauses"]:
        yield {**one, "ruling": "pause", "of": f"tag:{one['tag']}" if one["tag"] else "the fleet"}
    for one in standing["suppressions"]:
        yield {**one, "ruling": "suppression", "of": f"{one['alertType']} of {one['device']}"}
