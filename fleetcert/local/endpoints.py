"""Where the emulated services are found, and with which connection strings: what `azure.json` and the app are told."""

from __future__ import annotations

from dataclasses import dataclass

from fleetcert.local.config import ADDRESS, HOST
from fleetcert.local.eventgrid import TOPIC_PATH
from fleetcert.local.services import LocalServices, Ports


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of one start."""

    ports: Ports

    @property
    def hub(self) -> str:
        """Host and port of IoT Hub's service REST API, as the service SDKs take them."""
        return f"{HOST}:{self.ports.hub}"

    @property
    def dps(self) -> str:
        """Host and port of DPS, for devices and back ends."""
        return f"{HOST}:{self.ports.dps}"

    @property
    def arm(self) -> str:
        """The base URL of Azure Resource Manager."""
        return f"https://{HOST}:{self.ports.arm}"

    @property
    def event_grid(self) -> str:
        """The topic's endpoint. https, because azure-core sends tokens over nothing else."""
        return f"https://{HOST}:{self.ports.event_grid}{TOPIC_PATH}"

    @property
    def event_grid_log(self) -> str:
        """Where to see what the topic received."""
        return f"http://{ADDRESS}:{self.ports.event_grid_log}/log"

    @property
    def insights(self) -> str:
        """The ingestion endpoint of Application Insights."""
        return f"https://{HOST}:{self.ports.insights}"

    @property
    def insights_log(self) -> str:
        """Where to see what Application Insights received."""
        return f"http://{ADDRESS}:{self.ports.insights_log}/log"

    @property
    def identity_base(self) -> str:
        """The base URL of the identity endpoint."""
        return f"http://{ADDRESS}:{self.ports.identity}"

    @property
    def identity(self) -> str:
        """The value of IDENTITY_ENDPOINT."""
        return f"{self.identity_base}/msi/token"


@dataclass(frozen=True, slots=True)
class ConnectionStrings:
    """What service SDKs take in place of an endpoint and an identity."""

    hub: str
    dps: str
    event_hubs: str
    insights: str

    @classmethod
    def of(cls, services: LocalServices) -> ConnectionStrings:
        """Those of the owner policies."""
        endpoints, policies = Endpoints(services.ports), services.policies
        return cls(
            hub=_owner(endpoints.hub, policies.hub.name, policies.hub.key),
            dps=_owner(endpoints.dps, policies.dps.name, policies.dps.key),
            event_hubs=(
                f"Endpoint=sb://{HOST}:{services.fixed_ports.amqp};SharedAccessKeyName={policies.event_hubs.name};"
                f"SharedAccessKey={policies.event_hubs.key};UseDevelopmentEmulator=true"
            ),
            insights=(
                f"InstrumentationKey={services.insights.instrumentation_key};IngestionEndpoint={endpoints.insights};"
                f"ApplicationId={services.insights.application_id}"
            ),
        )


def _owner(host: str, policy: str, key: str) -> str:
    return f"HostName={host};SharedAccessKeyName={policy};SharedAccessKey={key}"
