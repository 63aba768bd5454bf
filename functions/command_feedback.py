"""What became of the commands that were sent."""

from __future__ import annotations

import logging

import azure.functions as func

from shared.composition import app

blueprint = func.Blueprint()
_log = logging.getLogger(__name__)


@blueprint.function_name("drain_command_feedback")
@blueprint.timer_trigger(arg_name="timer", schedule="%FEEDBACK_SCHEDULE%", run_on_startup=False, use_monitor=False)
async def drain_command_feedback(timer: func.TimerRequest) -> None:
    """One drain of the hub's feedback; a tick that was missed is made up for by the next."""
    services = await app.services()
    outcome = await services.feedback.drain()
    if outcome.batches:
        _log.info("feedback: %s", outcome)
