"""`GET /api/operations`: long work, page by page."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from shared.composition import app
from shared.schemas.operations import operation_page_answer, read_after
from shared.schemas.queries import PageQuery
from shared.schemas.routes import LIST_OPERATIONS
from shared.schemas.routing import NoBody

blueprint = func.Blueprint()


@serves(blueprint, LIST_OPERATIONS)
async def list_operations(call: Call[PageQuery, NoBody]) -> Reply:
    """A page of operations, the newest first."""
    limit, after = call.query.limit, read_after(call.query.cursor)
    services = await app.services()
    return Reply(operation_page_answer(await services.operations.page(limit + 1, after), limit))
