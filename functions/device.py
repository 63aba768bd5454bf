"""`GET /api/devices/{deviceId}`: one device."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from functions.replies import shown
from shared.composition import app
from shared.schemas.queries import NoQuery
from shared.schemas.routes import SHOW_DEVICE
from shared.schemas.routing import NoBody

blueprint = func.Blueprint()


@serves(blueprint, SHOW_DEVICE)
async def show_device(call: Call[NoQuery, NoBody]) -> Reply:
    """A device."""
    device_id = call.device_id
    services = await app.services()
    return shown(await services.devices.show(device_id))
