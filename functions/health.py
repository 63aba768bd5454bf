"""`GET /api/health`: whether the app could do its work; open to everybody, and up whatever the settings are."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from shared.composition import app
from shared.schemas.answers import HealthAnswer
from shared.schemas.queries import NoQuery
from shared.schemas.routes import HEALTH
from shared.schemas.routing import NoBody

blueprint = func.Blueprint()


@serves(blueprint, HEALTH)
async def health(_: Call[NoQuery, NoBody]) -> Reply:
    """200, or 503 with the name of the setting that is missing or wrong."""
    await app.services()
    return Reply(HealthAnswer())
