"""`GET /api/me`: who asks, and what they may do; a page offers its buttons by it."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from shared.composition import app
from shared.schemas.me import me_answer
from shared.schemas.queries import NoQuery
from shared.schemas.routes import WHO_AM_I
from shared.schemas.routing import NoBody

blueprint = func.Blueprint()


@serves(blueprint, WHO_AM_I)
async def who_am_i(call: Call[NoQuery, NoBody]) -> Reply:
    """The caller."""
    services = await app.services()
    return Reply(me_answer(call.principal, can_revoke=services.containment.can_revoke))
