"""`POST /api/fleet/resume`: ends a pause."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, respond
from shared.composition import app
from shared.schemas.access import Role
from shared.schemas.rulings import ResumeRequest, ruling

blueprint = func.Blueprint()


@blueprint.function_name("resume_fleet")
@blueprint.route(route="fleet/resume", trigger_arg_name="request", auth_level=func.AuthLevel.ANONYMOUS)
async def resume_fleet(request: func.HttpRequest) -> func.HttpResponse:
    """Ends a pause."""
    return await respond(request, "POST", Role.RENEW, _resume)


async def _resume(call: Call) -> Reply:
    wanted = call.body(ResumeRequest)
    services = await app.services()
    await services.circumstances.resume(call.principal.actor, wanted.reason, wanted.tag)
    return Reply(ruling(None))
