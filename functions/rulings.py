"""`POST /api/fleet/pause|resume|suppressions`: what operators rule for the fleet."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from shared.composition import app
from shared.schemas.queries import NoQuery
from shared.schemas.requests import in_utc
from shared.schemas.routes import PAUSE_FLEET, RESUME_FLEET, SUPPRESS_ALERTS
from shared.schemas.rulings import PauseRequest, ResumeRequest, SuppressRequest, ruling

blueprint = func.Blueprint()


@serves(blueprint, PAUSE_FLEET)
async def pause_fleet(call: Call[NoQuery, PauseRequest]) -> Reply:
    """Holds renewal commands back."""
    wanted, until = call.body, in_utc(call.body.until)
    services = await app.services()
    await services.circumstances.pause(until, call.principal.actor, wanted.reason, wanted.tag)
    return Reply(ruling(until))


@serves(blueprint, RESUME_FLEET)
async def resume_fleet(call: Call[NoQuery, ResumeRequest]) -> Reply:
    """Ends a pause."""
    wanted = call.body
    services = await app.services()
    await services.circumstances.resume(call.principal.actor, wanted.reason, wanted.tag)
    return Reply(ruling(None))


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
