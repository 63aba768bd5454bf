"""`GET /api/devices/{deviceId}` and `.../history`: one device, and what happened to it."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from functions.replies import shown
from shared.composition import app
from shared.domain.keys import history_range
from shared.schemas.lists import history_answer, read_cursor
from shared.schemas.queries import NoQuery, PageQuery
from shared.schemas.routes import SHOW_DEVICE, SHOW_HISTORY
from shared.schemas.routing import NoBody

blueprint = func.Blueprint()


@serves(blueprint, SHOW_DEVICE)
async def show_device(call: Call[NoQuery, NoBody]) -> Reply:
    """A device."""
    device_id = call.device_id
    services = await app.services()
    return shown(await services.devices.show(device_id))


@serves(blueprint, SHOW_HISTORY)
async def show_history(call: Call[PageQuery, NoBody]) -> Reply:
    """A page of changes, the newest first."""
    device_id = call.device_id
    cursor = read_cursor(call.query.cursor, history_range(device_id)[0])
    services = await app.services()
    return Reply(history_answer(device_id, await services.histories.page(device_id, call.query.limit, cursor)))
