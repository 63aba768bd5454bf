"""What IoT Hub's AMQP conditions mean for a cloud-to-device message.

Sources: the error mapping of Microsoft's own service SDKs; Azure docs: IoT Hub troubleshoot-error-codes.
"""

from __future__ import annotations

from typing import Final

from shared.adapters.faults import DEFAULT_PATIENCE
from shared.errors import CommandRefused, FleetcertError, InfrastructureFault, Throttled

SERVICE: Final = "IoT hub (AMQP)"

_NOT_FOUND: Final = "amqp:not-found"
_QUEUE_FULL: Final = "amqp:resource-limit-exceeded"
_THROTTLED: Final = frozenset({"com.microsoft:device-container-throttled", "com.microsoft:server-busy"})
_QUOTA_CODES: Final = ("403002", "IotHubQuotaExceeded")
_THROTTLING_CODES: Final = ("429000", "429001", "429002", "429003", "429005")


def error_of(condition: str, description: str) -> FleetcertError:
    """The error for a refused message.

    The daily quota arrives under the same condition as a device's full queue, and is told apart by its code.
    """
    detail = f"{condition} {description}".strip()
    if condition in _THROTTLED or _mentions(description, _THROTTLING_CODES):
        return Throttled(SERVICE, DEFAULT_PATIENCE)
    if condition == _NOT_FOUND:
        return CommandRefused("unreachable", detail)
    if condition == _QUEUE_FULL and not _mentions(description, _QUOTA_CODES):
        return CommandRefused("queue-full", detail)
    return InfrastructureFault(SERVICE, detail)


def _mentions(description: str, codes: tuple[str, ...]) -> bool:
    lowered = description.lower()
    return any(code.lower() in lowered for code in codes)
