"""`GET /api/devices/{deviceId}`: one device."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, respond
from shared.composition import app
from shared.schemas.access import Role
from shared.schemas.answers import device_answer

blueprint = func.Blueprint()


@blueprint.function_name("show_device")
@blueprint.route(route="devices/{deviceId}", trigger_arg_name="request", auth_level=func.AuthLevel.ANONYMOUS)
async def show_device(request: func.HttpRequest) -> func.HttpResponse:
    """A device."""
    return await respond(request, "GET", Role.READ, _show)


async def _show(call: Call) -> Reply:
    device_id = call.device_id
    services = await app.services()
    return Reply(device_answer(await services.devices.show(device_id)))
