"""`POST /api/devices/{deviceId}/renew`: asks a device to renew now."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, accepted, serves
from shared.composition import app
from shared.schemas.answers import device_answer
from shared.schemas.queries import NoQuery
from shared.schemas.requests import RenewRequest
from shared.schemas.routes import RENEW_DEVICE

blueprint = func.Blueprint()


@serves(blueprint, RENEW_DEVICE)
async def renew_device(call: Call[NoQuery, RenewRequest]) -> Reply:
    """A renewal by hand."""
    device_id = call.device_id
    services = await app.services()
    return accepted(device_answer(await services.devices.renew(device_id, call.principal.actor, call.body.reason)))
