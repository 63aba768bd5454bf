"""`POST /api/devices/{deviceId}/enable`: undoes what `disable` did."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from functions.replies import accepted, condition
from shared.composition import app
from shared.errors import NotPossible
from shared.schemas.queries import NoQuery
from shared.schemas.requests import EnableRequest
from shared.schemas.routes import ENABLE_DEVICE

blueprint = func.Blueprint()


@serves(blueprint, ENABLE_DEVICE)
async def enable_device(call: Call[NoQuery, EnableRequest]) -> Reply:
    """The way back in."""
    device_id = call.device_id
    expected, actor = condition(call), call.principal.actor
    services = await app.services()
    try:
        return accepted(await services.containment.enable(device_id, actor, call.body.reason, expected))
    except NotPossible:
        if not call.claim.is_again:
            raise
        return accepted(await services.devices.show(device_id))  # the first time it was heard it was done
