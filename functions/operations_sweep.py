"""Operations whose message was lost, and those that are past their retention."""

from __future__ import annotations

import azure.functions as func

from shared.composition import app

blueprint = func.Blueprint()


@blueprint.function_name("revive_operations")
@blueprint.timer_trigger(arg_name="timer", schedule="%HEALTH_SCHEDULE%", run_on_startup=False, use_monitor=True)
async def revive_operations(timer: func.TimerRequest) -> None:
    """Puts lost messages again, and forgets what is old."""
    services = await app.services()
    await services.operations.revive()
