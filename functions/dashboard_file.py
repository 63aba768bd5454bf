"""`GET /api/dashboard/{file}`: the scripts, style sheets and the icon of the page."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from functions.static_files import static_reply
from shared.schemas.pages import DASHBOARD_FILE
from shared.schemas.queries import NoQuery
from shared.schemas.routing import FILE, NoBody

blueprint = func.Blueprint()


@serves(blueprint, DASHBOARD_FILE)
async def dashboard_file(call: Call[NoQuery, NoBody]) -> Reply:
    """A file of the page."""
    return static_reply(call.request.route_params.get(FILE, ""), call.request.headers.get("if-none-match"))
