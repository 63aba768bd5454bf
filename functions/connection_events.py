"""Devices that connect and disconnect, as IoT Hub routes it."""

from __future__ import annotations

from typing import List

import azure.functions as func

from functions.event_batches import BATCHES, ENDLESS, received
from shared.composition import app

blueprint = func.Blueprint()


@blueprint.function_name("record_connection_events")
@blueprint.event_hub_message_trigger(event_hub_name="%CONNECTION_EVENTS%", connection="ConnectionEvents", **BATCHES)
@blueprint.retry(**ENDLESS)
async def record_connection_events(events: List[func.EventHubEvent]) -> None:
    """Records a batch of one partition."""
    batch = received(events, app.settings.connection_events)
    services = await app.services()
    await services.presence.record_connection_events(batch)
