"""`/api/fleet/rulings|pause|resume|suppressions`: what operators rule for the fleet, listed, made and ended."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from shared.composition import app
from shared.schemas.queries import NoQuery
from shared.schemas.requests import in_utc
from shared.schemas.routes import LIFT_SUPPRESSION, LIST_RULINGS, PAUSE_FLEET, RESUME_FLEET, SUPPRESS_ALERTS
from shared.schemas.routing import NoBody
from shared.schemas.rulings import (
    LiftRequest,
    PauseRequest,
    ResumeRequest,
    SuppressRequest,
    ruling,
    rulings_answer,
)

blueprint = func.Blueprint()


@serves(blueprint, LIST_RULINGS)
async def list_rulings(call: Call[NoQuery, NoBody]) -> Reply:
    """What stands now."""
    services = await app.services()
    pauses = await services.circumstances.pauses()
    return Reply(rulings_answer(pauses, await services.watching.suppressions.standing()))


@serves(blueprint, PAUSE_FLEET)
async def pause_fleet(call: Call[NoQuery, PauseRequest]) -> Reply:
    """Holds renewal commands back."""
    wanted, until = call.body, in_utc(call.body.until)
    services = await app.services()
    pause = await services.circumstances.pause(
        until, call.principal.actor, wanted.reason, wanted.tag, pause_id=call.claim.id
    )
    return Reply(ruling(until, pause.id))


@serves(blueprint, RESUME_FLEET)
async def resume_fleet(call: Call[NoQuery, ResumeRequest]) -> Reply:
    """Ends a pause."""
    wanted = call.body
    services = await app.services()
    await services.circumstances.resume(call.principal.actor, wanted.reason, wanted.tag, event_id=call.claim.id)
    return Reply(ruling(None))


@serves(blueprint, SUPPRESS_ALERTS)
async def suppress_alerts(call: Call[NoQuery, SuppressRequest]) -> Reply:
    """Stops alerts from being told."""
    wanted, until = call.body, in_utc(call.body.until)
    services = await app.services()
    suppression = await services.watching.suppressions.add(
        alert_type=wanted.alert_type,
        device=wanted.device,
        until=until,
        actor=call.principal.actor,
        reason=wanted.reason,
        suppression_id=call.claim.id,
    )
    return Reply(ruling(until, suppression.id))


@serves(blueprint, LIFT_SUPPRESSION)
async def lift_suppression(call: Call[NoQuery, LiftRequest]) -> Reply:
    """Ends a suppression."""
    identifier, claim = call.suppression_id, call.claim
    suppressions = (await app.services()).watching.suppressions
    actor, reason = call.principal.actor, call.body.reason
    await suppressions.lift(identifier, actor, reason, event_id=claim.id, is_again=claim.is_again)
    return Reply(ruling(None, identifier))
