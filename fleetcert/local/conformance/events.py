"""What the local Azure's event hubs hold: the patches that devices report, and their registrations at DPS."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from azure.eventhub import EventData, EventHubConsumerClient, PartitionContext

_JOIN_SECONDS: Final = 10.0


class Listener:
    """Hears an event hub from its first event on, in a thread of its own."""

    def __init__(self, connection_string: str, event_hub: str) -> None:
        self._gate = threading.Lock()
        self._client = EventHubConsumerClient.from_connection_string(
            connection_string, consumer_group="$Default", eventhub_name=event_hub
        )
        options = {"on_event_batch": self._take, "starting_position": "-1"}
        self._thread = threading.Thread(target=self._client.receive_batch, kwargs=options, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hears no more."""
        self._client.close()
        self._thread.join(_JOIN_SECONDS)

    def hear(self, event: EventData) -> None:
        """One event, under the gate."""
        raise NotImplementedError

    def _take(self, _: PartitionContext, batch: list[EventData]) -> None:
        with self._gate:
            for event in batch:
                self.hear(event)


class TwinPatches(Listener):
    """The patches of reported properties, as the routes carry them: with nulls, and with what devices sent at once."""

    def __init__(self, connection_string: str, event_hub: str) -> None:
        self._patches: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
        super().__init__(connection_string, event_hub)

    def of(self, device_id: str) -> list[Mapping[str, Any]]:
        """A device's patches so far, without the service's own members."""
        with self._gate:
            return list(self._patches[device_id])

    def hear(self, event: EventData) -> None:
        """Keeps what a device reported."""
        properties = {_text(name): _text(value) for name, value in (event.properties or {}).items()}
        if properties.get("opType") != "updateTwin":
            return
        reported = event.body_as_json().get("properties", {}).get("reported")
        if reported is not None:
            own = {name: value for name, value in reported.items() if not name.startswith("$")}
            self._patches[properties["deviceId"]].append(own)


class Registrations(Listener):
    """The registrations at DPS, as its log tells them."""

    def __init__(self, connection_string: str, event_hub: str) -> None:
        self._counts: defaultdict[str, int] = defaultdict(int)
        super().__init__(connection_string, event_hub)

    def of(self, registration_id: str) -> int:
        """How many there were, refused ones among them."""
        with self._gate:
            return self._counts[registration_id]

    def hear(self, event: EventData) -> None:
        """Counts."""
        body = event.body_as_json()
        for record in body.get("records", [body]):
            self._counts[json.loads(record["properties"])["id"]] += 1


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
