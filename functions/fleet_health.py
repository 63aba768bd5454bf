"""What waits for a person: dead letters, poison queues, a sweep that has stopped; and the fleet in gauges."""

from __future__ import annotations

import azure.functions as func

from shared.composition import app

blueprint = func.Blueprint()


@blueprint.function_name("watch_fleet_health")
@blueprint.timer_trigger(arg_name="timer", schedule="%HEALTH_SCHEDULE%", run_on_startup=False, use_monitor=True)
async def watch_fleet_health(timer: func.TimerRequest) -> None:
    """One look at all of them."""
    services = await app.services()
    await services.watching.gauges.report()
    await services.watching.health.look()
