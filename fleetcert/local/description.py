"""`azure.json`: what tests, operators and the demo are told about a running local Azure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fleetcert.local import config as names
from fleetcert.local.endpoints import ConnectionStrings, Endpoints
from fleetcert.local.identity import operator_tokens
from fleetcert.local.onboarding import Onboarding
from fleetcert.local.services import LocalServices


def describe(services: LocalServices, onboarding: Onboarding, validity_seconds: int) -> dict[str, Any]:
    """The members that the emulated services give."""
    endpoints, strings = Endpoints(services.ports), ConnectionStrings.of(services)
    return {
        "roles": operator_tokens(services.tokens),
        "dps_endpoint": f"https://{endpoints.dps}",
        "dps_id_scope": services.dps.id_scope,
        "dps_service_connection_string": strings.dps,
        "iothub_hostname": endpoints.hub,
        "iothub_service_connection_string": strings.hub,
        "mqtt_host": names.HOST,
        "mqtt_port": services.fixed_ports.mqtt,
        "eventhub_connection_string": strings.event_hubs,
        "eventhub_names": list(names.EVENT_HUBS),
        "identity_endpoint": endpoints.identity,
        "identity_header": services.identity.header,
        "arm_endpoint": endpoints.arm,
        "subscription_id": names.SUBSCRIPTION_ID,
        "resource_group": names.RESOURCE_GROUP,
        "dps_name": names.DPS_NAME,
        "adr_namespace": names.ADR_NAMESPACE,
        "eventgrid_endpoint": endpoints.event_grid,
        "eventgrid_key": services.topic.key,
        "eventgrid_log_url": endpoints.event_grid_log,
        "applicationinsights_connection_string": strings.insights,
        "applicationinsights_log_url": endpoints.insights_log,
        "onboarding": {name: str(value) for name, value in asdict(onboarding).items()},
        "policy_validity_seconds": validity_seconds,
    }


def endpoint_rows(description: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """Service and address, for people."""
    return [
        ("functions", description["functions_url"] or "not started (--without-app)"),
        ("DPS", f"{description['dps_endpoint']} (id scope {description['dps_id_scope']})"),
        ("IoT Hub", f"https://{description['iothub_hostname']}"),
        ("MQTT (DPS, IoT Hub)", f"mqtts://{description['mqtt_host']}:{description['mqtt_port']}"),
        ("Event Hubs", description["eventhub_connection_string"].partition(";")[0].removeprefix("Endpoint=")),
        ("Azure Resource Manager", description["arm_endpoint"]),
        ("Event Grid", description["eventgrid_endpoint"]),
        ("Event Grid's log", description["eventgrid_log_url"]),
        ("Application Insights' log", description["applicationinsights_log_url"]),
        ("managed identity", description["identity_endpoint"]),
    ]


def write_private_json(file: Path, document: Mapping[str, Any]) -> None:
    """Writes a file that holds keys: for its owner only, and at once or not at all."""
    unfinished = file.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(document, indent=2) + "\n")
    unfinished.replace(file)
