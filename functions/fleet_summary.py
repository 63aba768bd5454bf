"""`GET /api/fleet/summary`: the fleet at a glance."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from shared.composition import app
from shared.schemas.queries import NoQuery
from shared.schemas.routes import FLEET_SUMMARY
from shared.schemas.routing import NoBody
from shared.schemas.summary import summary_answer

blueprint = func.Blueprint()


@serves(blueprint, FLEET_SUMMARY)
async def fleet_summary(_: Call[NoQuery, NoBody]) -> Reply:
    """The last snapshot, and what is due today."""
    services = await app.services()
    return Reply(summary_answer(await services.watching.summaries.summary()))
