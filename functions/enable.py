"""`POST /api/devices/{deviceId}/enable`: undoes what `disable` did."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from functions.replies import accepted, check_version
from shared.composition import app
from shared.schemas.queries import NoQuery
from shared.schemas.requests import EnableRequest
from shared.schemas.routes import ENABLE_DEVICE

blueprint = func.Blueprint()


@serves(blueprint, ENABLE_DEVICE)
async def enable_device(call: Call[NoQuery, EnableRequest]) -> Reply:
    """The way back in."""
    device_id = call.device_id
    await check_version(call, device_id)
    services = await app.services()
    return accepted(await services.containment.enable(device_id, call.principal.actor, call.body.reason))
