"""The clock's tick: every deadline that has come is decided on."""

from __future__ import annotations

import logging

import azure.functions as func

from shared.composition import app

blueprint = func.Blueprint()
_log = logging.getLogger(__name__)


@blueprint.function_name("sweep_deadlines")
@blueprint.timer_trigger(arg_name="timer", schedule="%SWEEP_SCHEDULE%", run_on_startup=False, use_monitor=True)
async def sweep_deadlines(timer: func.TimerRequest) -> None:
    """One sweep over all shards; a tick that was missed is made up for by the next."""
    services = await app.services()
    outcome = await services.sweeps.sweep()
    if outcome.failed:  # all else is told device by device
        _log.warning("swept, past due %s: %s", timer.past_due, outcome)
