"""`POST /api/fleet/exports`: writes the list of devices into a file."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from functions.replies import begun, begun_before
from shared.composition import app
from shared.schemas.queries import ExportRequest, NoQuery
from shared.schemas.routes import EXPORT_FLEET

blueprint = func.Blueprint()


@serves(blueprint, EXPORT_FLEET)
async def export_fleet(call: Call[NoQuery, ExportRequest]) -> Reply:
    """Begins an operation, whose content is the file."""
    if (before := await begun_before(call)) is not None:
        return before
    wanted = call.body
    services = await app.services()
    await services.limit.admit()
    return begun(await services.exports.start(wanted.filter, call.principal.actor, wanted.reason, call.claim.id))
