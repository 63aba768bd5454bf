"""Long work, step by step."""

from __future__ import annotations

import azure.functions as func

from shared.composition import app

blueprint = func.Blueprint()


@blueprint.function_name("step_operation")
@blueprint.queue_trigger(arg_name="message", queue_name="%OPERATIONS%", connection="FleetStorage")
async def step_operation(message: func.QueueMessage) -> None:
    """One bounded step; a message that is none of ours raises and ends in the poison queue."""
    services = await app.services()
    await services.operations.step(message.get_json())
