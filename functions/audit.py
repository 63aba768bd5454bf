"""The audit: what has changed is appended to blobs that nobody can change."""

from __future__ import annotations

import azure.functions as func

from shared.composition import app

blueprint = func.Blueprint()


@blueprint.function_name("append_audit")
@blueprint.timer_trigger(arg_name="timer", schedule="%AUDIT_SCHEDULE%", run_on_startup=False, use_monitor=True)
async def append_audit(timer: func.TimerRequest) -> None:
    """Moves what waits into the chain; what is left waits for the next tick."""
    services = await app.services()
    await services.auditing.append()
