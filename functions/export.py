"""`POST /api/fleet/exports`: writes the list of devices into a file."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from functions.replies import begun
from shared.composition import app
from shared.schemas.queries import ExportRequest, NoQuery
from shared.schemas.routes import EXPORT_FLEET

blueprint = func.Blueprint()


@serves(blueprint, EXPORT_FLEET)
async def export_fleet(call: Call[NoQuery, ExportRequest]) -> Reply:
    """Begins an operation, whose content is the file."""
    wanted, claim = call.body, call.claim
    services = await app.services()
    await services.limit.admit(claim.id)
    return begun(await services.exports.start(wanted.filter, call.principal.actor, wanted.reason, claim.id))
