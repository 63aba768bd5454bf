"""`POST /api/devices/{deviceId}/renew`: asks a device to renew now."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, accepted, respond
from shared.composition import app
from shared.schemas.access import Role
from shared.schemas.answers import device_answer
from shared.schemas.requests import RenewRequest

blueprint = func.Blueprint()


@blueprint.function_name("renew_device")
@blueprint.route(route="devices/{deviceId}/renew", trigger_arg_name="request", auth_level=func.AuthLevel.ANONYMOUS)
async def renew_device(request: func.HttpRequest) -> func.HttpResponse:
    """A renewal by hand."""
    return await respond(request, "POST", Role.RENEW, _renew)


async def _renew(call: Call) -> Reply:
    device_id, wanted = call.device_id, call.body(RenewRequest)
    services = await app.services()
    return accepted(device_answer(await services.devices.renew(device_id, call.principal.actor, wanted.reason)))
