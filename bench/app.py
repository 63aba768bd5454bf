"""The app's real services, composed as deployed, over a table of our choice; nothing real behind the other ports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from shared.composition.ports import Adapters
from shared.composition.services import Services, build_services
from shared.services.ports import Table
from shared.settings import Settings, read_settings
from tests.support.fakes import FakeAlerts, FakeDeadLetters, FakeHub, FakeProvisioning, FakeQueue, FakeSender

ENVIRONMENT: Final = {
    "IOT_EVENTS": "iot-events",
    "DPS_EVENTS": "dps-events",
    "RENEWAL_COMMANDS": "renewal-commands",
    "CONTAINMENT": "containment",
    "OPERATIONS": "operations",
    "IOTHUB_HOSTNAME": "hub-1.azure-devices.net",
    "IOTHUB_RESOURCE_ID": "/subscriptions/s/providers/Microsoft.Devices/IotHubs/hub-1",
    "DPS_SERVICE_HOSTNAME": "dps-1.azure-devices-provisioning.net",
    "EVENTGRID_TOPIC_ENDPOINT": "https://topic.example/api/events",
    "FleetStorage": "UseDevelopmentStorage=true",
}
"""Only what has no default: what is measured is what a fleet gets that sets nothing else."""
SETTINGS: Final[Settings] = read_settings(ENVIRONMENT)


class _Untouched:
    """A port that no bench reaches: whoever does learns its name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, member: str) -> Any:
        raise AttributeError(f"the bench has nothing behind the port {self._name}, and {member} was asked of it")


@dataclass(frozen=True, slots=True)
class App:
    """The services, and the topic that their alerts leave for."""

    services: Services
    alerts: FakeAlerts


def adapters_over(table: Table, alerts: FakeAlerts) -> Adapters:
    """Fakes that take everything, and this table."""
    known: dict[str, Any] = {
        "table": table,
        "alerts": alerts,
        "renewal_commands": FakeQueue(),
        "containment": FakeQueue(),
        "operations": FakeQueue(),
        "registry": None,
        "dead_letters": FakeDeadLetters(),
        "sender": FakeSender(),
        "hub": FakeHub(),
        "provisioning": FakeProvisioning(),
    }
    ports = (name for name in Adapters.__struct_fields__ if name != "connections")
    return Adapters(**{name: known.get(name, _Untouched(name)) for name in ports})


async def app_over(table: Table) -> App:
    """The app as it is composed in Azure, but for what stands behind its ports."""
    alerts = FakeAlerts()
    return App(await build_services(SETTINGS, adapters_over(table, alerts)), alerts)
