"""The hub's identity registry: devices by id, the conditions on changing them, and what follows from a change."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from fleetcert.local.iothub.device import Device
from fleetcert.local.iothub.device_queue import DeviceQueue
from fleetcert.local.iothub.errors import device_not_found, invalid_argument
from fleetcert.local.iothub.etags import Preconditions
from fleetcert.local.iothub.identity import Identity, IdentityWrite, check_device_id, parse_authentication
from fleetcert.local.iothub.routes import Routes
from shared.clock import Clock


class IdentityRegistry:
    """Creates, changes and deletes devices. A device that is disabled or deleted loses its session."""

    def __init__(self, routes: Routes, clock: Clock) -> None:
        self._routes = routes
        self._clock = clock
        self._devices: dict[str, Device] = {}
        self._versions = itertools.count(secrets.randbelow(10**9))

    def __iter__(self) -> Iterator[Device]:
        """The devices in the order of their ids."""
        return iter(sorted(self._devices.values(), key=lambda device: device.device_id))

    def __contains__(self, device_id: object) -> bool:
        return device_id in self._devices

    def find(self, device_id: str) -> Device | None:
        """The device, or None."""
        return self._devices.get(device_id)

    def get(self, device_id: str) -> Device:
        """The device. Raises: HubError 404001."""
        if (device := self._devices.get(device_id)) is None:
            raise device_not_found(device_id)
        return device

    def put(self, device_id: str, document: Mapping[str, Any], conditions: Preconditions) -> Device:
        """Creates the identity or replaces its document. Raises: HubError 400004, 409001, 412001."""
        if document.get("deviceId", device_id) != device_id:
            raise invalid_argument("The deviceId of the document is not that of the address.")
        written = IdentityWrite.parse(document)
        device = self.find(check_device_id(device_id))
        conditions.check_put(device_id, None if device is None else device.identity.etag)
        return self._create(device_id, written) if device is None else self._rewrite(device, written)

    def provision(self, device_id: str, authentication: Mapping[str, Any]) -> tuple[Device, bool]:
        """The device with this authentication, and whether it is new. Raises: HubError 400004."""
        parsed = parse_authentication(authentication)
        device = self.find(check_device_id(device_id))
        if device is None:
            return self._create(device_id, IdentityWrite(parsed)), True
        if device.identity.written.authentication != parsed:
            self._rewrite(device, replace(device.identity.written, authentication=parsed))
        return device, False

    def delete(self, device_id: str, conditions: Preconditions) -> None:
        """Deletes identity, twin and queue. Raises: HubError 404001, 412001."""
        device = self.find(device_id)
        conditions.check_existing(device_id, None if device is None else device.identity.etag)
        removed = self._devices.pop(device_id)
        self._routes.device_deleted(removed)
        removed.end_session("the device was deleted")

    def _create(self, device_id: str, written: IdentityWrite) -> Device:
        generation_id = str(int(self._clock.now().timestamp() * 10**7) + next(self._versions))
        device = Device(Identity(device_id, generation_id, written, next(self._versions)), DeviceQueue(device_id))
        self._devices[device_id] = device
        self._routes.device_created(device)
        return device

    def _rewrite(self, device: Device, written: IdentityWrite) -> Device:
        device.identity.rewrite(written, next(self._versions), self._clock.now())
        if not device.identity.enabled:
            device.end_session("the device was disabled")
        return device
