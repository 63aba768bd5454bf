"""`GET /api/openapi.json`: the API's own description, written at its first request."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from shared.schemas.queries import NoQuery
from shared.schemas.routes import OPENAPI
from shared.schemas.routing import NoBody

blueprint = func.Blueprint()


@serves(blueprint, OPENAPI)
async def openapi(_: Call[NoQuery, NoBody]) -> Reply:
    """The document."""
    from shared.schemas.openapi import document  # a cold start need not wait for it

    return Reply(document())
