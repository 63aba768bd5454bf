"""Messages between a device's application and the cloud, which travel over the agent's connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote, unquote


@dataclass(frozen=True, slots=True)
class Message:
    """A message from or to the device. properties: as IoT Hub has them; system properties begin with `$.`."""

    body: bytes
    properties: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_topic(cls, topic: str, body: bytes) -> Self:
        """A cloud-to-device message as MQTT brings it: its properties are the topic's last part, URL-encoded."""
        pairs = (pair.partition("=") for pair in topic.rpartition("/")[2].split("&"))
        return cls(body, {unquote(name): unquote(value) for name, _, value in pairs if name})

    def to_topic(self, device_id: str) -> str:
        """The topic under which a device-to-cloud message is published."""
        pairs = (f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in self.properties.items())
        return f"devices/{device_id}/messages/events/{'&'.join(pairs)}"


type OnMessage = Callable[[Message], None]
"""What an application does with a message that is no command of ours. It is called by the agent's thread."""
