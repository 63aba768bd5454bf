"""`GET /api/dashboard`: the page for people who would rather look."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from functions.static_files import PAGE, static_reply
from shared.schemas.pages import DASHBOARD
from shared.schemas.queries import NoQuery
from shared.schemas.routing import NoBody

blueprint = func.Blueprint()


@serves(blueprint, DASHBOARD)
async def dashboard(call: Call[NoQuery, NoBody]) -> Reply:
    """The page."""
    return static_reply(PAGE, call.request.headers.get("if-none-match"))
