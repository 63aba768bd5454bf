"""IoT Hub's MQTT topics (Azure docs: Communicate with an IoT hub using the MQTT protocol)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, unquote

from fleetcert.local.instants import precise
from fleetcert.local.iothub.device_queue import QueuedMessage
from fleetcert.local.iothub.errors import message_too_large

TWIN_GET: Final = "$iothub/twin/GET/"
TWIN_REPORT: Final = "$iothub/twin/PATCH/properties/reported/"
TWIN_RESPONSES: Final = "$iothub/twin/res/#"
DESIRED_PATCHES: Final = "$iothub/twin/PATCH/properties/desired/#"
METHOD_REQUESTS: Final = "$iothub/methods/POST/#"
METHOD_RESPONSES: Final = "$iothub/methods/res/"
ISSUE_CERTIFICATE: Final = "$iothub/credentials/POST/issueCertificate/"
CREDENTIAL_RESPONSES: Final = "$iothub/credentials/res/#"

_MAX_TOPIC_BYTES: Final = 0xFFFF
_SYSTEM_PROPERTIES: Final = {
    "message_id": "$.mid",
    "correlation_id": "$.cid",
    "user_id": "$.uid",
    "content_type": "$.ct",
    "content_encoding": "$.ce",
    "absolute_expiry_time": "$.exp",
}


def device_bound(device_id: str) -> str:
    """The filter for a device's cloud-to-device messages."""
    return f"devices/{device_id}/messages/devicebound/#"


def telemetry(device_id: str) -> str:
    """The prefix of a device's device-to-cloud messages; properties may follow."""
    return f"devices/{device_id}/messages/events/"


def message_topic(device_id: str, message: QueuedMessage) -> str:
    """The topic of a cloud-to-device message: system and application properties, URL-encoded."""
    pairs = [("$.to", f"/devices/{device_id}/messages/devicebound"), *_system_properties(message)]
    pairs += [(name, _text(value)) for name, value in message.properties.items()]
    encoded = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    return f"devices/{device_id}/messages/devicebound/{encoded}"


def check_message_topic(device_id: str, message: QueuedMessage) -> None:
    """Raises: HubError 413001 where the message's properties do not fit into an MQTT topic."""
    if len(message_topic(device_id, message)) > _MAX_TOPIC_BYTES:
        raise message_too_large(_MAX_TOPIC_BYTES)


def query_of(topic: str) -> dict[str, str]:
    """The parameters after the question mark of a topic; `+` is no space here."""
    pairs = (pair.partition("=") for pair in topic.partition("?")[2].split("&"))
    return {unquote(name): unquote(value) for name, _, value in pairs if name}


def twin_response(status: int, request_id: str, version: int | None = None) -> str:
    """The topic of an answer to a twin request."""
    suffix = "" if version is None else f"&$version={version}"
    return f"$iothub/twin/res/{status}/?$rid={quote(request_id, safe='')}{suffix}"


def desired_patch(version: int) -> str:
    """The topic of a notification of changed desired properties."""
    return f"$iothub/twin/PATCH/properties/desired/?$version={version}"


def credential_response(status: int, request_id: str) -> str:
    """The topic of an answer to a certificate request."""
    return f"$iothub/credentials/res/{status}/?$rid={quote(request_id, safe='')}"


def _system_properties(message: QueuedMessage) -> Iterator[tuple[str, str]]:
    given = {**message.system, "message_id": message.message_id}
    for name, short in _SYSTEM_PROPERTIES.items():
        if given.get(name) is not None:
            yield short, _text(given[name])


def _text(value: Any) -> str:
    match value:
        case datetime():
            return precise(value)
        case bytes():
            return value.decode("utf-8", "replace")
        case _:
            return str(value)
