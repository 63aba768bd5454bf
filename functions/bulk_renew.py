"""`POST /api/bulk/renew`: asks many devices to renew."""

from __future__ import annotations

import azure.functions as func

from functions.bulk import carried_out
from functions.edge import Call, Reply, serves
from shared.schemas.bulk import BulkRequest
from shared.schemas.queries import NoQuery
from shared.schemas.routes import BULK_RENEW

blueprint = func.Blueprint()


@serves(blueprint, BULK_RENEW)
async def bulk_renew(call: Call[NoQuery, BulkRequest]) -> Reply:
    """Renewals by hand."""
    return await carried_out(call, "renew")
