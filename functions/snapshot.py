"""The snapshot that the fleet's summary is read from."""

from __future__ import annotations

import azure.functions as func

from shared.composition import app

blueprint = func.Blueprint()


@blueprint.function_name("take_snapshot")
@blueprint.timer_trigger(arg_name="timer", schedule="%SNAPSHOT_SCHEDULE%", run_on_startup=False, use_monitor=True)
async def take_snapshot(timer: func.TimerRequest) -> None:
    """Goes on with a scan, or begins one where the latest snapshot is too old."""
    services = await app.services()
    await services.watching.snapshots.run()
