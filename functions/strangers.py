"""Failed registrations of devices that nobody knows: one digest an hour."""

from __future__ import annotations

import azure.functions as func

from shared.composition import app

blueprint = func.Blueprint()


@blueprint.function_name("tell_strangers")
@blueprint.timer_trigger(arg_name="timer", schedule="%STRANGERS_SCHEDULE%", run_on_startup=False, use_monitor=True)
async def tell_strangers(timer: func.TimerRequest) -> None:
    """Tells of the hours that are over."""
    services = await app.services()
    await services.strangers.tell()
