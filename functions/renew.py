"""`POST /api/devices/{deviceId}/renew`: asks a device to renew now."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from functions.replies import accepted, condition
from shared.composition import app
from shared.schemas.queries import NoQuery
from shared.schemas.requests import RenewRequest
from shared.schemas.routes import RENEW_DEVICE

blueprint = func.Blueprint()


@serves(blueprint, RENEW_DEVICE)
async def renew_device(call: Call[NoQuery, RenewRequest]) -> Reply:
    """A renewal by hand."""
    device_id, claim, expected = call.device_id, call.claim, condition(call)
    actor, reason = call.principal.actor, call.body.reason
    devices = (await app.services()).devices
    return accepted(await devices.renew(device_id, actor, reason, expected, asked_at=claim.at, is_again=claim.is_again))
