"""`POST /api/fleet/pause`: holds renewal commands back."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, respond
from shared.composition import app
from shared.schemas.access import Role
from shared.schemas.rulings import PauseRequest, ruling

blueprint = func.Blueprint()


@blueprint.function_name("pause_fleet")
@blueprint.route(route="fleet/pause", trigger_arg_name="request", auth_level=func.AuthLevel.ANONYMOUS)
async def pause_fleet(request: func.HttpRequest) -> func.HttpResponse:
    """Holds renewal commands back."""
    return await respond(request, "POST", Role.RENEW, _pause)


async def _pause(call: Call) -> Reply:
    wanted = call.body(PauseRequest)
    services = await app.services()
    await services.circumstances.pause(wanted.until, call.principal.actor, wanted.reason, wanted.tag)
    return Reply(ruling(wanted.until))
