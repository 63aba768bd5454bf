"""`GET /api/devices`: the fleet by expiry, page by page."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from shared.composition import app
from shared.schemas.lists import page_answer, read_cursor
from shared.schemas.queries import DeviceQuery
from shared.schemas.routes import LIST_DEVICES
from shared.schemas.routing import NoBody

blueprint = func.Blueprint()


@serves(blueprint, LIST_DEVICES)
async def list_devices(call: Call[DeviceQuery, NoBody]) -> Reply:
    """A page of devices."""
    services = await app.services()
    page = await services.listing.page(call.query.limit, read_cursor(call.query.cursor), call.query.filter)
    return Reply(page_answer(page))
