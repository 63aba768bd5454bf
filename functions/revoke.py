"""`POST /api/devices/{deviceId}/revoke`: makes a device's certificates invalid."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from functions.replies import accepted, condition
from shared.composition import app
from shared.schemas.queries import NoQuery
from shared.schemas.requests import RevokeRequest
from shared.schemas.routes import REVOKE_DEVICE

blueprint = func.Blueprint()


@serves(blueprint, REVOKE_DEVICE)
async def revoke_device(call: Call[NoQuery, RevokeRequest]) -> Reply:
    """Revocation, where an ADR namespace is configured."""
    device_id = call.device_id
    expected, actor = condition(call), call.principal.actor
    services = await app.services()
    return accepted(await services.containment.revoke(device_id, actor, call.body.reason, expected))
