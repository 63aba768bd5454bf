"""Which settings the app reads, and which the deployment sets: both taken from the sources, to be compared."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

import msgspec
from support import bicep

from shared.settings import Settings, TelemetrySettings

FILE: Final = bicep.INFRA / "modules/app-settings.bicep"
TUNED: Final = bicep.INFRA / "settings.json"
CONNECTION_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "event_hub_message_trigger": ("fullyQualifiedNamespace", "credential", "clientId"),
    "queue_trigger": ("queueServiceUri", "credential", "clientId"),
}
"""What an identity-based connection of a trigger consists of (Azure docs: Functions, identity-based connections)."""
BY_THE_HOST: Final[Mapping[str, str]] = {
    "AzureWebJobsStorage__blobServiceUri": "the host's own storage: package, locks, checkpoints",
    "AzureWebJobsStorage__queueServiceUri": "the host's own storage",
    "AzureWebJobsStorage__tableServiceUri": "the host's own storage: its diagnostic events",
    "AzureWebJobsStorage__credential": "the host reaches its storage by identity",
    "AzureWebJobsStorage__clientId": "and by which",
    "PYTHON_ENABLE_OPENTELEMETRY": "the worker tells the host that the app exports its own lines",
    "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID": "the identity that proves the app registration",
    "WEBSITE_AUTH_AAD_ALLOWED_TENANTS": "whose tokens App Service Authentication takes",
}
"""Settings that nothing in this project reads, and who does."""
BY_THE_PLATFORM: Final[Mapping[str, str]] = {
    "IDENTITY_ENDPOINT": "the platform sets it where the app has an identity",
    "WEBSITE_AUTH_ENABLED": "the platform sets it where App Service Authentication is on",
    "FleetStorage": "the other form of FleetStorage__*ServiceUri: a connection string, for the local Azure alone",
    "AzureWebJobsStorage": "the other form of AzureWebJobsStorage__*ServiceUri",
    "AzureWebJobsStorage__accountName": "the other form of AzureWebJobsStorage__*ServiceUri",
    "IotEvents": "the other form of IotEvents__fullyQualifiedNamespace",
    "DpsEvents": "the other form of DpsEvents__fullyQualifiedNamespace",
    "ConnectionEvents": "the other form of ConnectionEvents__fullyQualifiedNamespace",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "where there is no Application Insights; the host would export there too",
    "TELEMETRY_CONSOLE": "for somebody who looks at a console",
    "OTEL_SDK_DISABLED": "for somebody who wants no telemetry",
    "OTEL_SERVICE_NAME": "where there is no site whose name it takes",
    "LOG_FORMAT": "where lines are collected from a stream",
    "WEBSITE_SITE_NAME": "the platform's name of the app",
    "WEBSITE_INSTANCE_ID": "the platform's name of the instance",
    "REGION_NAME": "the platform's region",
}
"""Settings that the code reads and that no template may set."""


def set_by_the_deployment() -> dict[str, str]:
    """Name -> where it is set."""
    [settings] = [r for r in bicep.resources(FILE) if r.symbol == "settings"]
    union = settings.member("properties")
    assert union is not None
    literal = next(bicep.descendants(union, "object"))
    where = dict.fromkeys(json.loads(TUNED.read_text()), "infra/settings.json")
    return where | dict.fromkeys(bicep.object_members(literal), "infra/modules/app-settings.bicep")


def read_by_the_app() -> dict[str, str]:
    """Name -> where it is read."""
    kinds = Settings, TelemetrySettings
    where = {info.encode_name: "shared/settings.py" for kind in kinds for info in msgspec.structs.fields(kind)}
    for file in sorted((bicep.ROOT / "functions").glob("*.py")):
        source, name = file.read_text(), f"functions/{file.name}"
        where |= dict.fromkeys(re.findall(r'"%(\w+)%"', source), name)
        for trigger, connection in re.findall(
            r"@blueprint\.(\w+_trigger)\([^@]*?connection=\"(\w+)\"", source, re.DOTALL
        ):
            where |= {f"{connection}__{member}": name for member in CONNECTION_MEMBERS[trigger]}
    return where


def differences(reads: Mapping[str, str], sets: Mapping[str, str]) -> list[str]:
    """What is read and not set, and what is set and not read: each with where to mend it."""
    missing = [
        f"{name} is read ({reads[name]}) and not set: give it a value in infra/settings.json if an operator "
        "may tune it, else in infra/modules/app-settings.bicep"
        for name in sorted(set(reads) - set(sets) - set(BY_THE_PLATFORM))
    ]
    unread = [
        f"{name} is set ({sets[name]}) and nobody reads it: remove it, or name its reader in BY_THE_HOST in "
        "tests/support/app_settings.py"
        for name in sorted(set(sets) - set(reads) - set(BY_THE_HOST))
    ]
    forbidden = [f"{name} is set ({sets[name]}): {BY_THE_PLATFORM[name]}" for name in set(sets) & set(BY_THE_PLATFORM)]
    return [*missing, *unread, *forbidden]
