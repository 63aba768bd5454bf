"""The settings that the app is started with: those of the Bicep template, with local values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fleetcert.local import config as names
from fleetcert.local.config import LocalConfig
from fleetcert.local.credentials import TENANT_ID
from fleetcert.local.endpoints import ConnectionStrings, Endpoints
from fleetcert.local.services import LocalServices

QUEUES: Final[Mapping[str, str]] = {
    "RENEWAL_COMMANDS": "renewal-commands",
    "CONTAINMENT": "containment",
    "OPERATIONS": "operations",
}
CONTAINERS: Final[Mapping[str, str]] = {
    "DEAD_LETTERS": "dead-letters",
    "AUDIT": "audit",
    "INVENTORY": "inventory",
    "EXPORTS": "exports",
}
TABLES: Final[Mapping[str, str]] = {"FLEET_TABLE": "fleet"}

_FIXED: Final[Mapping[str, str]] = {
    "IOT_EVENTS": names.IOT_EVENTS,
    "DPS_EVENTS": names.DPS_EVENTS,
    "CONNECTION_EVENTS": names.CONNECTION_EVENTS,
    "EVENTS_CONSUMER_GROUP": names.CONSUMER_GROUP,
    "SWEEP_SCHEDULE": "*/2 * * * * *",
    "FEEDBACK_SCHEDULE": "*/3 * * * * *",
    "FEEDBACK": "on",
    "CONNECTION_STATE": "contained",
    "CONNECTION_LOOK_INTERVAL": "PT1S",
    "ISSUERS_SCHEDULE": "*/10 * * * * *",
    "ROTATION_SCHEDULE": "*/10 * * * * *",
    "STRANGERS_SCHEDULE": "0 * * * * *",
    "HEALTH_SCHEDULE": "*/10 * * * * *",
    "SNAPSHOT_SCHEDULE": "*/5 * * * * *",
    "SNAPSHOT_INTERVAL": "PT10S",
    "DIGEST_ABOVE": "100",  # no batch of events holds more: the demo counts the alerts of each device
    "AUDIT_SCHEDULE": "*/5 * * * * *",
    "PRUNE_SCHEDULE": "0 * * * * *",
    "RECONCILE_SCHEDULE": "*/2 * * * * *",
    "INVENTORY_SCHEDULE": "*/2 * * * * *",
    "IOTHUB_RESOURCE_ID": names.HUB_RESOURCE_ID,
    "RENEWAL_WINDOW": "P7D",
    "RENEWAL_SHARE": "1/3",
    "COMMAND_TTL": "PT1H",
    "CLOCK_SKEW": "PT5M",
    "C2D_SHARE": "0.5",
    "CONTAINMENT_LOOK_INTERVAL": "PT5S",  # five minutes in Azure, which outlast a demo's certificate
    "ADR_GENERATION": "2",
    "ADR_NAMESPACE_ID": names.ADR_NAMESPACE_ID,
    "SHARDS": "16",
    "PYTHON_ENABLE_OPENTELEMETRY": "true",  # the worker tells the host that the app exports its own lines
    "OTEL_METRIC_EXPORT_INTERVAL": "5000",  # a minute in Azure, which is long for somebody who looks
    "FLEETCERT_TENANT_ID": TENANT_ID,
}


def app_settings(
    config: LocalConfig, services: LocalServices, storage: str, environment: Mapping[str, str]
) -> dict[str, str]:
    """The app's own settings; one that is in `environment` has that value. storage: the connection string."""
    endpoints, strings = Endpoints(services.ports), ConnectionStrings.of(services)
    event_hubs = strings.event_hubs
    settings = {
        **_FIXED,
        **QUEUES,
        **CONTAINERS,
        **TABLES,
        "FleetStorage": storage,
        "IotEvents": event_hubs,
        "DpsEvents": event_hubs,
        "ConnectionEvents": event_hubs,
        "IOTHUB_HOSTNAME": endpoints.hub,
        "DPS_SERVICE_HOSTNAME": endpoints.dps,
        "ARM_ENDPOINT": endpoints.arm,
        "DPS_RESOURCE_ID": names.DPS_RESOURCE_ID,
        "EVENTGRID_TOPIC_ENDPOINT": endpoints.event_grid,
        "APPLICATIONINSIGHTS_CONNECTION_STRING": strings.insights,
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": f"Authorization=AAD;ClientId={services.identity.client_id}",
        "POLICY_VALIDITY": f"PT{int(config.validity.total_seconds())}S",
        "C2D_PER_MINUTE": "100" if config.throttled else "1000",  # one unit of S1, or ten
        "REGISTRY_PER_MINUTE": "100" if config.throttled else "1000",
        "RECONCILE_QUERIES_PER_MINUTE": "20" if config.throttled else "200",
    }
    return {name: environment.get(name, value) for name, value in settings.items()}


def platform_settings(services: LocalServices, storage: str, ca_bundle: Path) -> dict[str, str]:
    """What the platform gives its apps in Azure: the host's storage, the identity, authentication; and here trust.

    WEBSITE_AUTH_ENABLED is not among them: a host that authenticates says so itself, and Core Tools do not.
    """
    endpoints = Endpoints(services.ports)
    return {
        "AzureWebJobsStorage": storage,
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "IDENTITY_ENDPOINT": endpoints.identity,
        "IDENTITY_HEADER": services.identity.header,
        "AZURE_CLIENT_ID": services.identity.client_id,
        "FLEETCERT_GATE_JWKS": f"{endpoints.identity_base}/discovery/keys",
        "FLEETCERT_GATE_LOGIN": f"{endpoints.identity_base}/local/token",
        "SSL_CERT_FILE": str(ca_bundle),
        "REQUESTS_CA_BUNDLE": str(ca_bundle),
        "NO_PROXY": f"{names.HOST},{names.ADDRESS}",
    }
