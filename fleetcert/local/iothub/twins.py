"""Reading and changing twins: the documents, the events that follow, and what the device is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleetcert.local.iothub.device import Device
from fleetcert.local.iothub.etags import Preconditions
from fleetcert.local.iothub.routes import Routes
from fleetcert.local.iothub.twin import without_service_members
from shared.clock import Clock


class Twins:
    """The twins of the hub's devices. Every method raises HubError 400004 and 403100 and then changes nothing."""

    def __init__(self, routes: Routes, clock: Clock) -> None:
        self._routes = routes
        self._clock = clock

    def report(self, device: Device, patch: Any) -> int:
        """Merges what the device reports; returns the version of its reported properties."""
        self._routes.twin_updated(device.device_id, device.twin.report(patch, self._clock.now()))
        return device.twin.reported.version

    def update(self, device: Device, document: Any, conditions: Preconditions) -> None:
        """Merges tags and desired properties. Raises: HubError 412001."""
        conditions.check_existing(device.device_id, device.twin.etag)
        change = device.twin.update(document, self._clock.now())
        self._routes.twin_updated(device.device_id, change)
        if (desired := change.get("properties", {}).get("desired")) is not None:
            self._notify(device, without_service_members(desired))

    def replace(self, device: Device, document: Any, conditions: Preconditions) -> None:
        """Puts tags and desired properties. Raises: HubError 412001."""
        conditions.check_existing(device.device_id, device.twin.etag)
        patch = device.twin.replace(document, self._clock.now())
        self._routes.twin_replaced(device)
        self._notify(device, patch)

    def _notify(self, device: Device, patch: Mapping[str, Any]) -> None:
        if device.session is not None:
            device.session.notify_desired(patch, device.twin.desired.version)
