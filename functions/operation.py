"""`GET /api/operations/{operationId}`: how far long work has come."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from shared.composition import app
from shared.schemas.operations import operation_answer
from shared.schemas.queries import NoQuery
from shared.schemas.routes import SHOW_OPERATION
from shared.schemas.routing import NoBody

blueprint = func.Blueprint()


@serves(blueprint, SHOW_OPERATION)
async def show_operation(call: Call[NoQuery, NoBody]) -> Reply:
    """An operation."""
    identifier = call.operation_id
    services = await app.services()
    return Reply(operation_answer(await services.operations.show(identifier)))
