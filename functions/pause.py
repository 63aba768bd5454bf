"""`POST /api/fleet/pause`: holds renewal commands back."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from shared.composition import app
from shared.schemas.queries import NoQuery
from shared.schemas.requests import in_utc
from shared.schemas.routes import PAUSE_FLEET
from shared.schemas.rulings import PauseRequest, ruling

blueprint = func.Blueprint()


@serves(blueprint, PAUSE_FLEET)
async def pause_fleet(call: Call[NoQuery, PauseRequest]) -> Reply:
    """Holds renewal commands back."""
    wanted, until = call.body, in_utc(call.body.until)
    services = await app.services()
    await services.circumstances.pause(until, call.principal.actor, wanted.reason, wanted.tag)
    return Reply(ruling(until))
