"""`POST /api/bulk/disable`: shuts many devices out."""

from __future__ import annotations

import azure.functions as func

from functions.bulk import carried_out
from functions.edge import Call, Reply, serves
from shared.schemas.bulk import BulkRequest
from shared.schemas.queries import NoQuery
from shared.schemas.routes import BULK_DISABLE

blueprint = func.Blueprint()


@serves(blueprint, BULK_DISABLE)
async def bulk_disable(call: Call[NoQuery, BulkRequest]) -> Reply:
    """Containments by hand."""
    return await carried_out(call, "disable")
