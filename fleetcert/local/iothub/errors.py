"""IoT Hub's errors: numeric codes (Azure docs: troubleshoot IoT Hub error codes) and the bodies that carry them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fleetcert.local.instants import precise


class HubError(Exception):
    """A request that IoT Hub refuses. The first three digits of `code` are the HTTP status.

    name: the code's name, as in the header `iothub-errorcode`. info: further members of a device's error document.
    """

    def __init__(self, code: int, name: str, message: str, info: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{code} {name}: {message}")
        self.code = code
        self.name = name
        self.message = message
        self.info = info

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.code // 1000

    def service_document(self, now: datetime) -> dict[str, str]:
        """The body of a service REST answer (observed on real hubs)."""
        tracking = f"Tracking ID:{uuid.uuid4().hex.upper()}-G:0-TimeStamp:{now:%m/%d/%Y %H:%M:%S}"
        return {"Message": f"ErrorCode:{self.name};{self.message}", "ExceptionMessage": tracking}

    def device_document(self, now: datetime) -> dict[str, Any]:
        """The payload of an MQTT answer to a device (Azure/azure-iot-sdk-csharp, feature/iot-csr-preview)."""
        document: dict[str, Any] = {
            "errorCode": self.code,
            "trackingId": uuid.uuid4().hex.upper(),
            "message": self.message,
            "timestampUtc": precise(now),
        }
        if self.info is not None:
            document["info"] = dict(self.info)
        return document


class ThrottledRequest(HubError):
    """429001: over a throttle. `retry_after_seconds` says for how long."""

    def __init__(self, operation: str, retry_after_seconds: int) -> None:
        super().__init__(429001, "ThrottlingException", f"{operation}: the hub's throttle is exceeded")
        self.retry_after_seconds = retry_after_seconds


def invalid_argument(message: str) -> HubError:
    """400004."""
    return HubError(400004, "ArgumentInvalid", message)


def unauthorized() -> HubError:
    """401003; real hubs put this name and message into the body, and say no more to a stranger."""
    return HubError(401003, "IotHubUnauthorizedAccess", "Unauthorized")


def queue_full(device_id: str) -> HubError:
    """403004: 50 messages are pending."""
    return HubError(
        403004, "DeviceMaximumQueueDepthExceeded", f"Total number of messages on queue for {device_id} exceeded 50"
    )


def message_too_large(limit_bytes: int) -> HubError:
    """413001: a cloud-to-device message over its limit."""
    return HubError(413001, "MessageTooLarge", f"Message size exceeded {limit_bytes} bytes")


def invalid_expiry(message: str) -> HubError:
    """403009 (the number follows the order of the service's list of names: assumed)."""
    return HubError(403009, "InvalidMessageExpiryTime", message)


def twin_too_large(section: str, limit_bytes: int) -> HubError:
    """403100 (code and message observed: Azure/iotedge issue 7035; the name is assumed)."""
    return HubError(403100, "TwinSizeExceeded", f"'{section}' size should be less than {limit_bytes} bytes.")


def device_not_found(device_id: str) -> HubError:
    """404001: not registered, or disabled."""
    return HubError(404001, "DeviceNotFound", f"Device {device_id} is not registered or disabled.")


def device_not_online(device_id: str) -> HubError:
    """404103: a direct method for a device without a session."""
    return HubError(404103, "DeviceNotOnline", f"The operation failed because device {device_id} is not online.")


def device_already_exists(device_id: str) -> HubError:
    """409001."""
    return HubError(409001, "DeviceAlreadyExists", f"A device with ID '{device_id}' is already registered.")


def precondition_failed() -> HubError:
    """412001: If-Match or If-None-Match does not hold."""
    return HubError(412001, "PreconditionFailed", "PreconditionFailed, ETag may be invalid.")


def lock_lost() -> HubError:
    """412002: the lock token of a feedback batch is unknown or has expired."""
    return HubError(412002, "DeviceMessageLockLost", "The lock on the message has been lost.")
