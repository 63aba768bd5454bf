"""`POST /api/devices/{deviceId}/disable`: shuts a device out."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, accepted, respond
from shared.composition import app
from shared.schemas.access import Role
from shared.schemas.answers import device_answer
from shared.schemas.requests import DisableRequest

blueprint = func.Blueprint()


@blueprint.function_name("disable_device")
@blueprint.route(route="devices/{deviceId}/disable", trigger_arg_name="request", auth_level=func.AuthLevel.ANONYMOUS)
async def disable_device(request: func.HttpRequest) -> func.HttpResponse:
    """Containment by hand."""
    return await respond(request, "POST", Role.CONTAIN, _disable)


async def _disable(call: Call) -> Reply:
    device_id, wanted = call.device_id, call.body(DisableRequest)
    services = await app.services()
    record = await services.containment.disable(device_id, call.principal.actor, wanted.reason, wanted.onboarding_pem)
    return accepted(device_answer(record))
