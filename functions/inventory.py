"""Inventories of onboarding leaves: what was uploaded is imported."""

from __future__ import annotations

import azure.functions as func

from shared.composition import app

blueprint = func.Blueprint()


@blueprint.function_name("import_inventories")
@blueprint.timer_trigger(arg_name="timer", schedule="%INVENTORY_SCHEDULE%", run_on_startup=False, use_monitor=True)
async def import_inventories(timer: func.TimerRequest) -> None:
    """Goes on with what waits; one list of the container where nothing does."""
    services = await app.services()
    await services.inventories.step()
