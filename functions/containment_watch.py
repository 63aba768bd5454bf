"""Devices on their way out, and those that are out by a block that nobody has proven."""

from __future__ import annotations

import azure.functions as func

from shared.composition import app

blueprint = func.Blueprint()


@blueprint.function_name("watch_containments")
@blueprint.timer_trigger(arg_name="timer", schedule="%HEALTH_SCHEDULE%", run_on_startup=False, use_monitor=True)
async def watch_containments(timer: func.TimerRequest) -> None:
    """One look at all of them."""
    services = await app.services()
    await services.containment_watch.look()
