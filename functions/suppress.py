"""`POST /api/fleet/suppressions`: stops alerts from being told."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from shared.composition import app
from shared.schemas.queries import NoQuery
from shared.schemas.requests import in_utc
from shared.schemas.routes import SUPPRESS_ALERTS
from shared.schemas.rulings import SuppressRequest, ruling

blueprint = func.Blueprint()


@serves(blueprint, SUPPRESS_ALERTS)
async def suppress_alerts(call: Call[NoQuery, SuppressRequest]) -> Reply:
    """Stops alerts from being told."""
    wanted = call.body
    services = await app.services()
    suppression = await services.watching.suppressions.add(
        alert_type=wanted.alert_type,
        device=wanted.device,
        until=in_utc(wanted.until),
        actor=call.principal.actor,
        reason=wanted.reason,
        suppression_id=call.claim.id,
    )
    return Reply(ruling(suppression.until, suppression))
