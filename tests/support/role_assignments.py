"""Who is given which role where by the templates, in the words of the table in docs/deploy.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from support import bicep
from support.bicep import Resource

WHO: Final[Mapping[str, str]] = {
    "appPrincipalId": "app",
    "iotPrincipalId": "IoT Hub and DPS",
    "eventsPrincipalId": "Event Grid",
    "namespacePrincipalId": "ADR namespace",
    "iotHubServicePrincipalObjectId": "application IoT Hub",
    "operatorPrincipalId": "whoever deployed",
}
"""Parameter of a module -> whom it stands for."""
WHERE: Final[Mapping[tuple[str, str], str]] = {
    ("host-storage.bicep", "account"): "host storage",
    ("fleet-storage.bicep", "account"): "fleet storage",
    ("fleet-storage.bicep", "alertQueue"): "queue `alerts`",
    ("fleet-storage.bicep", "undelivered"): "container `undelivered-alerts`",
    ("audit-storage.bicep", "container"): "audit container",
    ("event-hubs.bicep", "events"): "events namespace",
    ("event-hubs.bicep", "logs"): "log namespace",
    ("event-hubs.bicep", "iotEvents"): "event hub `iot-events`",
    ("event-hubs.bicep", "connectionEvents"): "event hub `connection-events`",
    ("adr.bicep", "namespace"): "ADR namespace",
    ("adr.bicep", ""): "IoT resource group",
    ("iothub.bicep", "hub"): "IoT hub",
    ("dps.bicep", "dps"): "DPS",
    ("device-access.bicep", "hub"): "IoT hub",
    ("device-access.bicep", "dps"): "DPS",
    ("event-grid.bicep", "topic"): "alert topic",
    ("monitoring.bicep", "insights"): "Application Insights",
}
"""Template and symbol of a scope -> the words for it. No scope: the resource group of the module."""
CUSTOM: Final[Mapping[str, str]] = {
    "deviceAccessRoleName": "fleetcert device access",
    "registryAccessRoleName": "fleetcert registry access",
    "appendRoleName": "fleetcert audit append",
}


@dataclass(frozen=True, order=True)
class Assignment:
    """A row of the table."""

    who: str
    role: str
    where: str


def made() -> list[Assignment]:
    """All that the templates make. Raises: KeyError for a principal or a scope that this module has no word for."""
    return sorted(
        assignment
        for file in bicep.files()
        for resource in bicep.resources(file)
        if resource.type == "Microsoft.Authorization/roleAssignments"
        for assignment in _assignments(resource)
    )


def role_names() -> dict[str, str]:
    """Symbol in infra/roles.json -> the role's name in Azure."""
    return {symbol: _name(symbol) for symbol in json.loads((bicep.INFRA / "roles.json").read_text())}


def _assignments(resource: Resource) -> Iterator[Assignment]:
    who = WHO[resource.words("properties", "principalId")]
    where = WHERE[resource.file.name, resource.words("scope")]
    for role in _roles(resource):
        yield Assignment(who, role, where)


def _roles(resource: Resource) -> list[str]:
    """The role's name; several where the assignment is made for each of a list."""
    definition = resource.words("properties", "roleDefinitionId")
    symbol = re.findall(r"[\w.]+", definition)[-1]
    if symbol.startswith("roles."):
        return [role_names()[symbol.removeprefix("roles.")]]
    if symbol in CUSTOM:
        return [CUSTOM[symbol]]
    [listed] = re.findall(r"for \w+ in (\w+):", resource.text)
    declared = bicep.declarations(resource.file, "variable")[listed]
    return [role_names()[role] for role in re.findall(r"roles\.(\w+)", declared)]


def _name(symbol: str) -> str:
    """`eventHubsDataSender` -> `Azure Event Hubs Data Sender`, as Azure spells it."""
    spelled = {
        "adrContributor": "Azure Device Registry Contributor",
        "eventGridDataSender": "EventGrid Data Sender",
        "eventHubsDataReceiver": "Azure Event Hubs Data Receiver",
        "eventHubsDataSender": "Azure Event Hubs Data Sender",
        "iotHubDataContributor": "IoT Hub Data Contributor",
        "iotHubRegistryContributor": "IoT Hub Registry Contributor",
    }
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", symbol)
    return spelled.get(symbol, words[0].upper() + words[1:])
