"""`POST /api/fleet/suppressions`: stops alerts from being told."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, respond
from shared.composition import app
from shared.schemas.access import Role
from shared.schemas.rulings import SuppressRequest, ruling

blueprint = func.Blueprint()


@blueprint.function_name("suppress_alerts")
@blueprint.route(route="fleet/suppressions", trigger_arg_name="request", auth_level=func.AuthLevel.ANONYMOUS)
async def suppress_alerts(request: func.HttpRequest) -> func.HttpResponse:
    """Stops alerts from being told."""
    return await respond(request, "POST", Role.RENEW, _suppress)


async def _suppress(call: Call) -> Reply:
    wanted = call.body(SuppressRequest)
    services = await app.services()
    suppression = await services.watching.suppressions.add(
        alert_type=wanted.alert_type,
        device=wanted.device,
        until=wanted.until,
        actor=call.principal.actor,
        reason=wanted.reason,
    )
    return Reply(ruling(suppression.until, suppression))
