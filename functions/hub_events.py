"""Twin changes and the lifecycle of device identities, as IoT Hub routes them."""

from __future__ import annotations

from typing import List

import azure.functions as func

from functions.envelopes import envelopes
from shared import telemetry
from shared.composition import app

blueprint = func.Blueprint()


@blueprint.function_name("record_hub_events")
@blueprint.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="%IOT_EVENTS%",
    connection="IotEvents",
    consumer_group="%EVENTS_CONSUMER_GROUP%",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,  # as text, one event without a body would fail the batch before it gets here
)
@blueprint.retry(  # endless: when the policy ends, Functions checkpoints and the batch is lost
    strategy="exponential_backoff",
    max_retry_count="-1",
    minimum_interval="00:00:02",
    maximum_interval="00:05:00",
)
async def record_hub_events(events: List[func.EventHubEvent]) -> None:
    """Records a batch of one partition."""
    hub = app.settings.iot_events
    telemetry.note(telemetry.EVENTS_RECEIVED, len(events), {"hub": hub})
    services = await app.services()
    await services.intake.record_hub_events(envelopes(events, hub))
