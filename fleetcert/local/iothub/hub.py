"""The IoT Hub as the local Azure composes it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from aiohttp import web
from cryptography import x509

from fleetcert.local.assumptions import Assumptions
from fleetcert.local.iothub.application import application
from fleetcert.local.iothub.authentication import DeviceAuthentication
from fleetcert.local.iothub.cloud_to_device import CloudToDevice
from fleetcert.local.iothub.endpoint import HubEndpoint
from fleetcert.local.iothub.errors import HubError
from fleetcert.local.iothub.etags import Preconditions
from fleetcert.local.iothub.identity_registry import IdentityRegistry
from fleetcert.local.iothub.issuance import Issuance
from fleetcert.local.iothub.observations import Observations
from fleetcert.local.iothub.rest import HubServices
from fleetcert.local.iothub.routes import RoutedTo, Routes
from fleetcert.local.iothub.session import SessionServices
from fleetcert.local.iothub.throttles import Throttles
from fleetcert.local.iothub.twins import Twins
from fleetcert.local.ports import (
    AmqpRefused,
    CloudToDeviceMessage,
    Credentials,
    EventSink,
    MqttEndpoint,
    Registry,
)
from shared.clock import Clock

_CONDITIONS: Final[Mapping[int, str]] = {
    403004: "amqp:resource-limit-exceeded",
    403009: "amqp:not-allowed",
    404001: "amqp:not-found",
    413001: "amqp:link:message-size-exceeded",
    429001: "com.microsoft:device-container-throttled",
}
"""The AMQP condition of an error: as the .NET and Node service SDKs translate them back; that of 403009 is assumed."""


class IotHub:
    """An IoT Hub: a `ProvisionedHub` to DPS and ADR, a `CloudToDeviceSink` to the AMQP endpoint.

    host_name: as devices and tokens name it, without a port. throttled: whether the limits of one S1 unit apply.
    issuance_seconds: how long a certificate request over MQTT is pending.
    """

    def __init__(
        self,
        host_name: str,
        registry: Registry,
        sink: EventSink,
        credentials: Credentials,
        assumptions: Assumptions,
        clock: Clock,
        *,
        throttled: bool = False,
        issuance_seconds: float = 0.05,
        routed_to: RoutedTo | None = None,
    ) -> None:
        self._host_name = host_name
        routes = Routes(host_name.partition(".")[0], sink, assumptions, clock, routed_to or RoutedTo())
        observations, throttles = Observations(), Throttles(clock, enabled=throttled)
        self._devices = IdentityRegistry(routes, clock)
        self._twins = Twins(routes, clock)
        self._messages = CloudToDevice(self._devices, throttles, observations, clock)
        self._authentication = DeviceAuthentication(host_name, registry, clock)
        issuance = Issuance(registry, clock, issuance_seconds)
        self._sessions = SessionServices(
            self._twins, self._messages, issuance, routes, observations, assumptions, clock
        )
        self._services = HubServices(
            self._devices, self._twins, self._messages, observations, throttles, credentials, clock
        )

    @property
    def host_name(self) -> str:
        """What a device is told to connect to (`assignedHub`): a host name without a port."""
        return self._host_name

    def mqtt_endpoint(self) -> MqttEndpoint:
        """The device side, for the MQTT listener."""
        return HubEndpoint(self._host_name, self._devices, self._authentication, self._sessions)

    def web_application(self) -> web.Application:
        """The service REST API, and `/_local/devices` for whoever checks the local Azure."""
        return application(self._services)

    def provision(self, device_id: str, *, authentication: Mapping[str, Any], initial_twin: Mapping[str, Any]) -> None:
        """Creates the identity if there is none, else brings its authentication up to date.

        Raises: HubError 400004, 403100.
        """
        device, is_new = self._devices.provision(device_id, authentication)
        given = _without_empty_sections(initial_twin)
        if is_new and given:
            self._twins.update(device, given, Preconditions())

    def has_device(self, device_id: str) -> bool:
        """Whether the identity exists."""
        return device_id in self._devices

    def trust(self, authorities: Mapping[str, x509.Certificate]) -> None:
        """Replaces the CA certificates that ADR has synchronized into the hub, by name."""
        self._authentication.trust(authorities)

    @property
    def authorities(self) -> Mapping[str, tuple[x509.Certificate, datetime]]:
        """The CA certificates that the hub trusts and since when, by name."""
        return self._authentication.authorities

    def send(self, message: CloudToDeviceMessage) -> None:
        """Queues a message for a device. Raises: AmqpRefused, with the numeric code in its description."""
        try:
            self._messages.send(message)
        except HubError as error:
            raise AmqpRefused(_CONDITIONS[error.code], str(error)) from error


def _without_empty_sections(twin: Mapping[str, Any]) -> dict[str, Any]:
    """An initial twin that says nothing is no change of the twin, and no event."""
    tags, desired = twin.get("tags"), twin.get("properties", {}).get("desired")
    return ({"tags": tags} if tags else {}) | ({"properties": {"desired": desired}} if desired else {})
