"""Twin changes and the lifecycle of device identities, as IoT Hub routes them."""

from __future__ import annotations

from typing import List

import azure.functions as func

from functions.event_batches import BATCHES, ENDLESS, received
from shared.composition import app

blueprint = func.Blueprint()


@blueprint.function_name("record_hub_events")
@blueprint.event_hub_message_trigger(event_hub_name="%IOT_EVENTS%", connection="IotEvents", **BATCHES)
@blueprint.retry(**ENDLESS)
async def record_hub_events(events: List[func.EventHubEvent]) -> None:
    """Records a batch of one partition."""
    batch = received(events, app.settings.iot_events)
    services = await app.services()
    await services.intake.record_hub_events(batch)
