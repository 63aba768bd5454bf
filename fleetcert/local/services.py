"""The emulated services, put together: who knows whom, and where each is found."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from aiohttp import web

from fleetcert.local import config as names
from fleetcert.local.adr.registry import DeviceRegistry
from fleetcert.local.amqp.server import AmqpServer
from fleetcert.local.applicationinsights import ApplicationInsights
from fleetcert.local.arm import arm_application
from fleetcert.local.config import HOST, FixedPorts, LocalConfig
from fleetcert.local.credentials import LocalCredentials, SharedAccessPolicy, Tokens
from fleetcert.local.dps.service import ProvisioningService
from fleetcert.local.eventgrid import EventGridTopic
from fleetcert.local.eventhubs.hubs import EventHubs
from fleetcert.local.identity import IdentityEndpoint, ManagedIdentity
from fleetcert.local.iothub.hub import IotHub
from fleetcert.local.mqtt.server import MqttServer
from fleetcert.local.processes import free_ports
from shared.clock import SystemClock

_REGISTRATIONS_PER_MINUTE: Final = 1000  # Azure docs: DPS limits


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that no client insists on."""

    hub: int
    dps: int
    arm: int
    event_grid: int
    event_grid_log: int
    identity: int
    insights: int
    insights_log: int

    @classmethod
    def choose(cls) -> Self:
        """Free ones."""
        return cls(*free_ports(8))


@dataclass(frozen=True, slots=True)
class Policies:
    """The shared access policies of the three services that have some."""

    hub: SharedAccessPolicy
    dps: SharedAccessPolicy
    event_hubs: SharedAccessPolicy

    @classmethod
    def create(cls, ports: Ports, fixed: FixedPorts) -> Self:
        """Keys are random; tokens are for `localhost` with or without the service's port."""
        # A plain AMQP login with policy and key is turned into a token for `sb://`, which names no host.
        anywhere = ["", HOST, *(f"{HOST}:{port}" for port in (fixed.amqp, fixed.amqps))]
        return cls(
            SharedAccessPolicy(names.HUB_POLICY, [HOST, f"{HOST}:{ports.hub}"]),
            SharedAccessPolicy(names.DPS_POLICY, [HOST, f"{HOST}:{ports.dps}"]),
            SharedAccessPolicy(names.EVENT_HUBS_POLICY, anywhere, key_is_base64=False),
        )


class LocalServices:
    """All emulated services of one start: plain objects of this process, which share its loop."""

    def __init__(self, config: LocalConfig) -> None:
        self._clock = SystemClock()
        self._config = config
        self.fixed_ports = config.fixed_ports
        self.ports = Ports.choose()
        self.policies = Policies.create(self.ports, config.fixed_ports)
        self.tokens = Tokens(self._clock)
        self.identity = ManagedIdentity()
        self.topic = EventGridTopic(self._callers())
        self.insights = ApplicationInsights(self._callers())
        self.event_hubs = EventHubs(names.EVENT_HUBS, [names.CONSUMER_GROUP, names.OTHER_CONSUMER_GROUP], self._clock)
        self.registry = DeviceRegistry(names.ADR_NAMESPACE, self._clock, default_validity=config.validity)
        self.hub = self._create_hub()
        self.registry.link(self.hub)
        self.dps = self._create_dps()

    def mqtt_server(self) -> MqttServer:
        """The device side of DPS and IoT Hub on one port."""
        return MqttServer([self.dps.mqtt_endpoint(), self.hub.mqtt_endpoint()])

    def amqp_server(self) -> AmqpServer:
        """Event Hubs and IoT Hub's cloud-to-device node."""
        callers = self._callers(self.policies.hub, self.policies.event_hubs)
        return AmqpServer(self.event_hubs, self.hub, callers, self._clock)

    def https_applications(self) -> Iterator[tuple[int, web.Application]]:
        """Port and application of what is served over https."""
        yield self.ports.hub, self.hub.web_application()
        yield self.ports.dps, self.dps.web_application()
        yield self.ports.arm, self._arm_application()
        yield self.ports.event_grid, self.topic.application()
        yield self.ports.insights, self.insights.application()

    def http_applications(self) -> Iterator[tuple[int, web.Application]]:
        """Port and application of what is served over plain http, as the real endpoints of an identity are."""
        yield self.ports.event_grid_log, self.topic.log_application()
        yield self.ports.insights_log, self.insights.log_application()
        yield self.ports.identity, IdentityEndpoint(self.tokens, self.identity).application()

    def _create_hub(self) -> IotHub:
        return IotHub(
            HOST,
            self.registry,
            self.event_hubs,
            self._callers(self.policies.hub),
            self._config.assumptions,
            self._clock,
            throttled=self._config.throttled,
        )

    def _create_dps(self) -> ProvisioningService:
        return ProvisioningService(
            self.registry,
            self.registry.hubs,
            self.event_hubs,
            self._callers(self.policies.dps),
            self._config.assumptions,
            id_scope=f"0ne{secrets.token_hex(4).upper()}",
            resource_id=names.DPS_RESOURCE_ID,
            clock=self._clock,
            registrations_per_minute=_REGISTRATIONS_PER_MINUTE if self._config.throttled else None,
        )

    def _arm_application(self) -> web.Application:
        return arm_application(
            self.registry,
            self.dps,
            self.hub,
            self._callers(),
            subscription_id=names.SUBSCRIPTION_ID,
            resource_group=names.RESOURCE_GROUP,
            dps_name=names.DPS_NAME,
            clock=self._clock,
        )

    def _callers(self, *policies: SharedAccessPolicy) -> LocalCredentials:
        return LocalCredentials(policies, self.tokens, self._clock)
