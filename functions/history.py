"""History: what is older than the setting says goes, and with it old idempotency keys and exports."""

from __future__ import annotations

import logging

import azure.functions as func

from shared.composition import app

blueprint = func.Blueprint()
_log = logging.getLogger(__name__)


@blueprint.function_name("prune_history")
@blueprint.timer_trigger(arg_name="timer", schedule="%PRUNE_SCHEDULE%", run_on_startup=False, use_monitor=True)
async def prune_history(timer: func.TimerRequest) -> None:
    """Some pages of a round through the table; the next tick goes on."""
    services = await app.services()
    outcome = await services.pruning.prune()
    keys, files = await services.idempotency.prune(), await services.exports.prune()
    if outcome.removed or keys or files:
        _log.info("%d history rows, %d idempotency keys, %d exports gone", outcome.removed, keys, files)
