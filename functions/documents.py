"""`GET /api/openapi.json` and `alerts.schema.json`: the API and its alerts described, at their first request."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from shared.schemas.queries import NoQuery
from shared.schemas.routes import ALERT_SCHEMAS, OPENAPI
from shared.schemas.routing import SCHEMA, NoBody

blueprint = func.Blueprint()


@serves(blueprint, OPENAPI)
async def openapi(_: Call[NoQuery, NoBody]) -> Reply:
    """The document."""
    from shared.schemas.openapi import document  # a cold start need not wait for it

    return Reply(document())


@serves(blueprint, ALERT_SCHEMAS)
async def alert_schemas(_: Call[NoQuery, NoBody]) -> Reply:
    """The document."""
    from shared.schemas.alerts import document  # a cold start need not wait for it

    return Reply(document(), media_type=SCHEMA)
