"""Devices that connect and disconnect, as IoT Hub routes it."""

from __future__ import annotations

from typing import List

import azure.functions as func

from functions.envelopes import envelopes
from shared import telemetry
from shared.composition import app

blueprint = func.Blueprint()


@blueprint.function_name("record_connection_events")
@blueprint.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="%CONNECTION_EVENTS%",
    connection="ConnectionEvents",
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
async def record_connection_events(events: List[func.EventHubEvent]) -> None:
    """Records a batch of one partition."""
    hub = app.settings.connection_events
    telemetry.note(telemetry.EVENTS_RECEIVED, len(events), {"hub": hub})
    services = await app.services()
    await services.presence.record_connection_events(envelopes(events, hub))
