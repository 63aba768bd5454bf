"""The registration log of the Device Provisioning Service."""

from __future__ import annotations

from typing import List

import azure.functions as func

from functions.event_batches import BATCHES, ENDLESS, received
from shared.composition import app

blueprint = func.Blueprint()


@blueprint.function_name("record_dps_events")
@blueprint.event_hub_message_trigger(event_hub_name="%DPS_EVENTS%", connection="DpsEvents", **BATCHES)
@blueprint.retry(**ENDLESS)
async def record_dps_events(events: List[func.EventHubEvent]) -> None:
    """Records a batch of one partition."""
    batch = received(events, app.settings.dps_events)
    services = await app.services()
    await services.intake.record_dps_events(batch)
