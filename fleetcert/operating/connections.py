"""Where an operator's commands find the fleet's storage and event hubs: by identity in Azure, by key on a laptop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from shared.errors import FleetcertError

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.data.tables import TableClient
    from azure.eventhub import EventHubProducerClient
    from azure.storage.blob import ContainerClient

ACCOUNT: Final = "FLEETCERT_STORAGE_ACCOUNT"
"""The storage account's name, or its blob endpoint (`https://...`) where the cloud is not the public one."""
NAMESPACE: Final = "FLEETCERT_EVENT_HUBS"
"""The Event Hubs namespace, `{name}.servicebus.windows.net`."""
_PUBLIC: Final = "https://{}.blob.core.windows.net"


class NotConnected(FleetcertError):
    """It is not known where the service is."""


@dataclass(frozen=True, slots=True)
class Connections:
    """The services. storage and event_hubs: connection strings, or addresses that are reached by identity."""

    storage: str
    event_hubs: str | None = None
    settings: Mapping[str, str] | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], local_azure: Path) -> Self:
        """FLEETCERT_STORAGE_ACCOUNT (and FLEETCERT_EVENT_HUBS), else the local Azure. Raises: NotConnected."""
        if account := environment.get(ACCOUNT):
            url = account if account.startswith("https://") else _PUBLIC.format(account)
            return cls(url.rstrip("/"), environment.get(NAMESPACE), environment)
        if not local_azure.exists():
            raise NotConnected(f"there is no {local_azure}: run `make up`, or set {ACCOUNT}")
        local = json.loads(local_azure.read_text())
        return cls(local["storage_connection_string"], local["eventhub_connection_string"], local["settings"])

    def name_of(self, setting: str, default: str) -> str:
        """What the app calls a table, a container or an event hub: its setting of that name, else its default."""
        return (self.settings or {}).get(setting) or default

    def container(self, name: str) -> ContainerClient:
        """A blob container."""
        from azure.storage.blob import ContainerClient

        if self._by_identity:
            return ContainerClient(self.storage, name, credential=_credential())
        return ContainerClient.from_connection_string(self.storage, name)

    def table(self, name: str) -> TableClient:
        """A table."""
        from azure.data.tables import TableClient

        if self._by_identity:
            return TableClient(self.storage.replace(".blob.", ".table.", 1), name, credential=_credential())
        return TableClient.from_connection_string(self.storage, name)

    def producer(self, event_hub: str) -> EventHubProducerClient:
        """A sender to an event hub. Raises: NotConnected."""
        from azure.eventhub import EventHubProducerClient

        if not self.event_hubs:
            raise NotConnected(f"set {NAMESPACE} to the namespace of the event hubs")
        if "Endpoint=" in self.event_hubs:
            return EventHubProducerClient.from_connection_string(self.event_hubs, eventhub_name=event_hub)
        return EventHubProducerClient(self.event_hubs, event_hub, _credential())

    @property
    def _by_identity(self) -> bool:
        return self.storage.startswith("https://")


def _credential() -> TokenCredential:
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()
