"""What the Event Hubs triggers have in common: how batches come, how long they are tried, and what they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import azure.functions as func

from functions.envelopes import envelopes
from shared import telemetry
from shared.domain.envelope import Envelope

BATCHES: Final[Mapping[str, Any]] = {
    "arg_name": "events",
    "consumer_group": "%EVENTS_CONSUMER_GROUP%",
    "cardinality": func.Cardinality.MANY,
    "data_type": func.DataType.BINARY,  # as text, one event without a body would fail the batch before it gets here
}
ENDLESS: Final[Mapping[str, Any]] = {  # when a policy ends, Functions checkpoints and the batch is lost
    "strategy": "exponential_backoff",
    "max_retry_count": "-1",
    "minimum_interval": "00:00:02",
    "maximum_interval": "00:05:00",
}


def received(events: Sequence[func.EventHubEvent], hub: str) -> list[Envelope]:
    """The events of one batch, all of one partition, which are counted."""
    telemetry.note(telemetry.EVENTS_RECEIVED, len(events), {"hub": hub})
    return envelopes(events, hub)
