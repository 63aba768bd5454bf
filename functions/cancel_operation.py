"""`POST /api/operations/{operationId}/cancel`: ends long work early."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from functions.replies import begun
from shared.composition import app
from shared.schemas.operations import ROLES, CancelRequest
from shared.schemas.queries import NoQuery
from shared.schemas.routes import CANCEL_OPERATION

blueprint = func.Blueprint()


@serves(blueprint, CANCEL_OPERATION)
async def cancel_operation(call: Call[NoQuery, CancelRequest]) -> Reply:
    """Whoever may start operations of the kind may cancel one."""
    identifier = call.operation_id
    operations = (await app.services()).operations
    call.principal.require(ROLES[(await operations.show(identifier)).kind])
    return begun(await operations.cancel(identifier, call.principal.actor, call.body.reason))
