"""Devices on their way out."""

from __future__ import annotations

import azure.functions as func

from shared.composition import app

blueprint = func.Blueprint()


@blueprint.function_name("contain_device")
@blueprint.queue_trigger(arg_name="message", queue_name="%CONTAINMENT%", connection="FleetStorage")
async def contain_device(message: func.QueueMessage) -> None:
    """Takes the steps that are still to be done; a message that is none of ours raises and ends in the poison queue."""
    services = await app.services()
    await services.containment.advance(message.get_json())
