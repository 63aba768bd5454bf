"""`GET /api/alerts.schema.json`: what the alerts' data hold, for their receivers."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from shared.schemas.queries import NoQuery
from shared.schemas.routes import ALERT_SCHEMAS
from shared.schemas.routing import SCHEMA, NoBody

blueprint = func.Blueprint()


@serves(blueprint, ALERT_SCHEMAS)
async def alert_schemas(_: Call[NoQuery, NoBody]) -> Reply:
    """The document."""
    from shared.schemas.alerts import document  # a cold start need not wait for it

    return Reply(document(), media_type=SCHEMA)
