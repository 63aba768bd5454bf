"""The registration log of the Device Provisioning Service."""

from __future__ import annotations

from typing import List

import azure.functions as func

from functions.envelopes import envelopes
from shared import telemetry
from shared.composition import app

blueprint = func.Blueprint()


@blueprint.function_name("record_dps_events")
@blueprint.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="%DPS_EVENTS%",
    connection="DpsEvents",
    consumer_group="%EVENTS_CONSUMER_GROUP%",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
@blueprint.retry(
    strategy="exponential_backoff",
    max_retry_count="-1",
    minimum_interval="00:00:02",
    maximum_interval="00:05:00",
)
async def record_dps_events(events: List[func.EventHubEvent]) -> None:
    """Records a batch of one partition."""
    hub = app.settings.dps_events
    telemetry.note(telemetry.EVENTS_RECEIVED, len(events), {"hub": hub})
    services = await app.services()
    await services.intake.record_dps_events(envelopes(events, hub))
