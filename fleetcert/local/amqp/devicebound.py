"""IoT Hub's AMQP node for cloud-to-device messages (Azure docs: IoT Hub developer guide, messages-c2d)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from fleetcert.local.amqp.messages import Message, Properties
from fleetcert.local.amqp.types import Timestamp
from fleetcert.local.ports import AmqpRefused, CloudToDeviceMessage, CloudToDeviceSink

DEVICEBOUND: Final = "messages/devicebound"
MAX_MESSAGE_BYTES: Final = 65_536
"""A cloud-to-device message has at most 64 KB (Azure docs: IoT Hub quotas)."""

_TO: Final = re.compile(r"/devices/(?P<device>[^/]+)/messages/devicebound", re.IGNORECASE)
_SYSTEM: Final = ("message_id", "correlation_id", "content_type", "content_encoding", "absolute_expiry_time", "user_id")


class DeviceboundTarget:
    """The link on which a back end sends to devices."""

    max_message_size = MAX_MESSAGE_BYTES

    def __init__(self, sink: CloudToDeviceSink) -> None:
        self._sink = sink

    def receive(self, message: bytes, _message_format: int) -> None:
        """Hands the message to the hub. Raises: AmqpRefused, also with whatever the hub refuses it for; DecodeError."""
        self._sink.send(to_device_message(Message.decode(message)))

    def close(self) -> None:
        """Nothing waits on this side."""


def to_device_message(message: Message) -> CloudToDeviceMessage:
    """The message as the hub sees it. Raises: AmqpRefused where `to` names no device, DecodeError."""
    to = _TO.fullmatch(message.properties.to or "")
    if to is None:
        raise AmqpRefused("amqp:invalid-field", f"'to' names no device: {message.properties.to!r}")
    return CloudToDeviceMessage(
        # Some SDKs quote the id in `to`; ids may hold a plus sign, which stands for itself.
        device_id=unquote(to["device"]),
        body=message.body,
        system=_system(message.properties),
        properties=message.application_properties,
    )


def _system(properties: Properties) -> Mapping[str, Any]:
    given = {name: getattr(properties, name) for name in _SYSTEM}
    return {name: _plain(name, value) for name, value in given.items() if value is not None}


def _plain(name: str, value: Any) -> Any:
    if not isinstance(value, Timestamp):
        return str(value) if isinstance(value, str) else value
    try:
        return value.to_datetime()
    except (ValueError, OverflowError, OSError) as problem:
        raise AmqpRefused("amqp:invalid-field", f"{name} is no instant: {int(value)}") from problem
