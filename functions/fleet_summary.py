"""`GET /api/fleet/summary`: the fleet at a glance."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, respond
from shared.composition import app
from shared.schemas.access import Role
from shared.schemas.summary import summary_answer

blueprint = func.Blueprint()


@blueprint.function_name("fleet_summary")
@blueprint.route(route="fleet/summary", trigger_arg_name="request", auth_level=func.AuthLevel.ANONYMOUS)
async def fleet_summary(request: func.HttpRequest) -> func.HttpResponse:
    """The last snapshot, and what is due today."""
    return await respond(request, "GET", Role.READ, _summary)


async def _summary(call: Call) -> Reply:
    services = await app.services()
    return Reply(summary_answer(await services.watching.summaries.summary()))
