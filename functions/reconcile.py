"""The walk through the whole fleet: the table is put right by what the hub and DPS have."""

from __future__ import annotations

import azure.functions as func

from shared.composition import app

blueprint = func.Blueprint()


@blueprint.function_name("reconcile_fleet")
@blueprint.timer_trigger(arg_name="timer", schedule="%RECONCILE_SCHEDULE%", run_on_startup=False, use_monitor=True)
async def reconcile_fleet(timer: func.TimerRequest) -> None:
    """One step of a pass where one is open, due or asked for; else one read of the table."""
    services = await app.services()
    await services.reconciling.step()
