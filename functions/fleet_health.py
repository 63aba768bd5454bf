"""What waits for a person: dead letters, poison queues, a sweep that has stopped."""

from __future__ import annotations

import logging

import azure.functions as func

from shared.composition import app

blueprint = func.Blueprint()
_log = logging.getLogger(__name__)


@blueprint.function_name("watch_fleet_health")
@blueprint.timer_trigger(arg_name="timer", schedule="%HEALTH_SCHEDULE%", run_on_startup=False, use_monitor=True)
async def watch_fleet_health(timer: func.TimerRequest) -> None:
    """One look at all of them."""
    services = await app.services()
    found = await services.watching.health.look()
    _log.info("looked after the fleet: %s", found)
