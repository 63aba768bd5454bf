"""The CA certificates of hub and DPS: which are trusted, which were rotated, which will end."""

from __future__ import annotations

import logging

import azure.functions as func

from shared.composition import app

blueprint = func.Blueprint()
_log = logging.getLogger(__name__)


@blueprint.function_name("watch_issuers")
@blueprint.timer_trigger(arg_name="timer", schedule="%ISSUERS_SCHEDULE%", run_on_startup=False, use_monitor=True)
async def watch_issuers(timer: func.TimerRequest) -> None:
    """One poll of the lists."""
    services = await app.services()
    poll = await services.watching.issuers.poll()
    if poll.new or poll.alerts:
        _log.info("the CA certificates have changed: %s", poll)
