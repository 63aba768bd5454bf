"""IoT Hub behind the MQTT listener: which CONNECTs are its own, and what it makes of them."""

from __future__ import annotations

import logging

from fleetcert.local.iothub import topics
from fleetcert.local.iothub.authentication import DeviceAuthentication
from fleetcert.local.iothub.identity_registry import IdentityRegistry
from fleetcert.local.iothub.session import DeviceSession, SessionServices
from fleetcert.local.ports import Connect, MqttConnection, MqttSession, Refused

_LOG = logging.getLogger(__name__)


class HubEndpoint:
    """An `MqttEndpoint` for user names of the form `{hub}/{device id}/?api-version=...`."""

    def __init__(
        self,
        host_name: str,
        devices: IdentityRegistry,
        authentication: DeviceAuthentication,
        services: SessionServices,
    ) -> None:
        self._host_name = host_name
        self._devices = devices
        self._authentication = authentication
        self._services = services

    def claims(self, connect: Connect) -> bool:
        """Whether the user name starts with this hub's host name."""
        return connect.user_name.partition("/")[0].lower() == self._host_name.lower()

    def accept(self, connect: Connect, connection: MqttConnection) -> MqttSession:
        """Opens the device's session. Raises: Refused with CONNACK 5."""
        # An id is not URL-encoded and may hold a question mark, but never a slash.
        _, device_id, *rest = f"{connect.user_name}//".split("/")
        api_version = topics.query_of(rest[0]).get("api-version", "")
        try:
            return self._open(device_id, connect, connection, api_version)
        except Refused as refusal:
            _LOG.info("%s was refused: %s", device_id, refusal.reason)
            self._services.observations.of(device_id).refusals.append((self._services.clock.now(), refusal.reason))
            raise

    def _open(self, device_id: str, connect: Connect, connection: MqttConnection, api_version: str) -> DeviceSession:
        found = self._devices.find(device_id)
        certificate = self._authentication.check(device_id, found, connect)
        device = self._devices.get(device_id)
        session = DeviceSession(
            device,
            connection,
            self._services,
            certificate,
            api_version=api_version,
            clean_session=connect.clean_session,
        )
        session.begin()
        return session
