"""`fleetcert local alerts`: what the local Event Grid topic took, which in Azure goes to its subscribers."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import httpx
import typer

from fleetcert.cli.api import LOCAL_AZURE
from fleetcert.cli.output import Form, Output, show_json, show_rows
from shared.errors import FleetcertError

_COLUMNS: Final = ("time", "type", "subject", "data.level", "data.state", "data.reason")


def alerts(
    text: Annotated[str, typer.Argument(help="Part of a type or a subject; all where nothing is given.")] = "",
    last: Annotated[int, typer.Option(min=1, help="How many at most, the newest.")] = 20,
    output: Output = Form.TABLE,
) -> None:
    """Show the alerts of the local Azure, the newest last."""
    if not LOCAL_AZURE.exists():
        raise FleetcertError(f"there is no {LOCAL_AZURE}: run `make up`")
    taken: list[dict[str, Any]] = httpx.get(json.loads(LOCAL_AZURE.read_text())["eventgrid_log_url"]).json()
    wanted = [alert for alert in taken if text in f"{alert['type']} {alert['subject']}"][-last:]
    if output is Form.JSON:
        show_json(wanted)
    else:
        show_rows(output, wanted, _COLUMNS)
