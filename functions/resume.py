"""`POST /api/fleet/resume`: ends a pause."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from shared.composition import app
from shared.schemas.queries import NoQuery
from shared.schemas.routes import RESUME_FLEET
from shared.schemas.rulings import ResumeRequest, ruling

blueprint = func.Blueprint()


@serves(blueprint, RESUME_FLEET)
async def resume_fleet(call: Call[NoQuery, ResumeRequest]) -> Reply:
    """Ends a pause."""
    wanted = call.body
    services = await app.services()
    await services.circumstances.resume(call.principal.actor, wanted.reason, wanted.tag)
    return Reply(ruling(None))
