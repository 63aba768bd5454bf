"""Renewal commands on their way from the queue to IoT Hub."""

from __future__ import annotations

import azure.functions as func

from shared.composition import app

blueprint = func.Blueprint()


@blueprint.function_name("send_renewal_command")
@blueprint.queue_trigger(arg_name="message", queue_name="%RENEWAL_COMMANDS%", connection="FleetStorage")
async def send_renewal_command(message: func.QueueMessage) -> None:
    """Sends one command. A message that is none of ours raises, and ends in the poison queue."""
    services = await app.services()
    await services.commands.send(message.get_json())
