"""Alerts as CloudEvents 1.0 on an Event Grid custom topic, published by identity."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.messaging import CloudEvent
from azure.eventgrid.aio import EventGridPublisherClient

from shared.adapters.faults import faults
from shared.contracts import alert_schema
from shared.domain.alerts import Alert

SERVICE: Final = "event grid"
_MAX_REQUEST_BYTES: Final = 900_000
"""Event Grid takes at most 1 MB a request (Azure docs: Event Grid quotas); the rest is room for the envelope."""
_ENVELOPE_BYTES: Final = 512


class EventGridAlerts:
    """A custom topic of schema CloudEvents 1.0.

    endpoint: `https://{topic}.{region}.eventgrid.azure.net/api/events`; azure-core sends no token over plain http.
    source: the IoT hub's resource id. Receivers drop duplicates by source and id.
    """

    def __init__(self, endpoint: str, source: str, credential: AsyncTokenCredential) -> None:
        self._client: EventGridPublisherClient = EventGridPublisherClient(endpoint, credential)
        self._source = source

    async def publish(self, alerts: Sequence[Alert]) -> None:
        """Publishes all, in requests of less than 1 MB."""
        for chunk in _chunks(alerts):
            events = [self._cloud_event(alert) for alert in chunk]
            with faults(SERVICE):
                await self._client.send(events)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    def _cloud_event(self, alert: Alert) -> CloudEvent[object]:
        return CloudEvent(
            source=self._source,
            type=alert.type,
            id=alert.id,
            time=alert.time,
            subject=alert.subject,
            datacontenttype="application/json",
            dataschema=alert_schema(alert.type),
            data=dict(alert.data),
        )


def _chunks(alerts: Sequence[Alert]) -> Iterator[list[Alert]]:
    chunk: list[Alert] = []
    size = 0
    for alert in alerts:
        weight = _ENVELOPE_BYTES + len(json.dumps(alert.data, default=str))
        if chunk and size + weight > _MAX_REQUEST_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(alert)
        size += weight
    if chunk:
        yield chunk
