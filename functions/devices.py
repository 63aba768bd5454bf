"""`GET /api/devices`: the fleet by expiry, page by page."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, respond
from shared.composition import app
from shared.schemas.access import Role
from shared.schemas.answers import page_answer, read_cursor
from shared.schemas.requests import page_limit

blueprint = func.Blueprint()


@blueprint.function_name("list_devices")
@blueprint.route(route="devices", trigger_arg_name="request", auth_level=func.AuthLevel.ANONYMOUS)
async def list_devices(request: func.HttpRequest) -> func.HttpResponse:
    """A page of devices; `limit` 1 to 500, `cursor` from the page before."""
    return await respond(request, "GET", Role.READ, _page)


async def _page(call: Call) -> Reply:
    limit = page_limit(call.request.params.get("limit"))
    cursor = read_cursor(call.request.params.get("cursor"))
    services = await app.services()
    return Reply(page_answer(await services.devices.page(limit, cursor)))
