"""`/api/operations`: long work, listed, shown, and ended early."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from functions.replies import begun
from shared.composition import app
from shared.schemas.operations import ROLES, CancelRequest, operation_answer, operation_page_answer, read_after
from shared.schemas.queries import NoQuery, PageQuery
from shared.schemas.routes import CANCEL_OPERATION, LIST_OPERATIONS, SHOW_OPERATION
from shared.schemas.routing import NoBody

blueprint = func.Blueprint()


@serves(blueprint, LIST_OPERATIONS)
async def list_operations(call: Call[PageQuery, NoBody]) -> Reply:
    """A page of operations, the newest first."""
    limit, after = call.query.limit, read_after(call.query.cursor)
    services = await app.services()
    return Reply(operation_page_answer(await services.operations.page(limit + 1, after), limit))


@serves(blueprint, SHOW_OPERATION)
async def show_operation(call: Call[NoQuery, NoBody]) -> Reply:
    """An operation."""
    identifier = call.operation_id
    services = await app.services()
    return Reply(operation_answer(await services.operations.show(identifier)))


@serves(blueprint, CANCEL_OPERATION)
async def cancel_operation(call: Call[NoQuery, CancelRequest]) -> Reply:
    """Whoever may start operations of the kind may cancel one."""
    identifier = call.operation_id
    operations = (await app.services()).operations
    call.principal.require(ROLES[(await operations.show(identifier)).kind])
    return begun(await operations.cancel(identifier, call.principal.actor, call.body.reason))
