"""`POST /api/devices/{deviceId}/disable`: shuts a device out."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from functions.replies import accepted, condition
from shared.composition import app
from shared.schemas.queries import NoQuery
from shared.schemas.requests import DisableRequest
from shared.schemas.routes import DISABLE_DEVICE

blueprint = func.Blueprint()


@serves(blueprint, DISABLE_DEVICE)
async def disable_device(call: Call[NoQuery, DisableRequest]) -> Reply:
    """Containment by hand."""
    device_id, wanted, expected = call.device_id, call.body, condition(call)
    actor = call.principal.actor
    containment = (await app.services()).containment
    record = await containment.disable(device_id, actor, wanted.reason, wanted.onboarding_pem, condition=expected)
    return accepted(record)
