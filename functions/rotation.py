"""Issuing CAs that were rotated: their devices are decided on ahead of time, a bounded step a tick."""

from __future__ import annotations

import logging

import azure.functions as func

from shared.composition import app

blueprint = func.Blueprint()
_log = logging.getLogger(__name__)


@blueprint.function_name("follow_rotation")
@blueprint.timer_trigger(arg_name="timer", schedule="%ROTATION_SCHEDULE%", run_on_startup=False, use_monitor=True)
async def follow_rotation(timer: func.TimerRequest) -> None:
    """One step of the walk over the fleet."""
    services = await app.services()
    brought_forward = await services.rotation.step()
    if brought_forward:
        _log.info("%d devices under a rotated or revoked issuer were brought forward", brought_forward)
