"""The ports with the real SDKs behind them. None of them connects before its first use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Protocol, Self

from azure.core.credentials_async import AsyncTokenCredential

from shared.adapters.adr import GENERATIONS, AdrNamespace
from shared.adapters.alerts import EventGridAlerts
from shared.adapters.arm import DPS_API_VERSION, HUB_API_VERSION, ArmCertificates
from shared.adapters.audit import AppendBlobs
from shared.adapters.backlogs import BlobBacklog, PoisonBacklog
from shared.adapters.commands import CloudToDeviceSender
from shared.adapters.credential import async_credential, blocking_credential
from shared.adapters.deadletters import BlobDeadLetters
from shared.adapters.dps import Enrollments
from shared.adapters.dps_inventory import DpsInventory
from shared.adapters.event_positions import CHECKPOINTS, EventHubPlace, EventHubPositions, HostCheckpoints
from shared.adapters.exports import BlobExports
from shared.adapters.feedback import HubFeedback
from shared.adapters.hub_query import HubQuery
from shared.adapters.inventories import BlobInventories
from shared.adapters.queues import StorageQueue
from shared.adapters.table import AzureTable
from shared.composition.ports import Adapters
from shared.domain.ca_watch import Source
from shared.settings import Settings


def build_adapters(settings: Settings) -> Adapters:
    """The real adapters, which are closed in the order opposite to that of their building."""
    return _Building(settings).adapters()


class _Closing(Protocol):
    async def close(self) -> None: ...


class _OfStorage(_Closing, Protocol):
    """An adapter for one table, container or queue of a storage account."""

    @classmethod
    def from_connection_string(cls, connection_string: str, name: str, /) -> Self: ...

    @classmethod
    def from_endpoint(cls, endpoint: str, name: str, credential: AsyncTokenCredential, /) -> Self: ...


class _Building:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connections = AsyncExitStack()
        managed, client_id = settings.has_managed_identity, settings.client_id
        self._blocking_credential = blocking_credential(managed=managed, client_id=client_id)
        self._credential = async_credential(managed=managed, client_id=client_id)
        self._connections.push_async_callback(self._credential.close)

    def adapters(self) -> Adapters:
        settings, credential, blocking = self._settings, self._credential, self._blocking_credential
        tables, blobs, queues = settings.table_endpoint, settings.blob_endpoint, settings.queue_endpoint
        hub = self._kept(HubQuery(settings.iothub_hostname, blocking))
        inventory = DpsInventory(settings.dps_service_hostname, credential)
        alerts = EventGridAlerts(settings.eventgrid_topic_endpoint, settings.iothub_resource_id, credential)
        return Adapters(
            table=self._of_storage(AzureTable, tables, settings.fleet_table),
            alerts=self._kept(alerts),
            renewal_commands=self._of_storage(StorageQueue, queues, settings.renewal_commands),
            containment=self._of_storage(StorageQueue, queues, settings.containment),
            operations=self._of_storage(StorageQueue, queues, settings.operations),
            exports=self._of_storage(BlobExports, blobs, settings.exports),
            dead_letters=self._of_storage(BlobDeadLetters, blobs, settings.dead_letters),
            audit=self._of_storage(AppendBlobs, settings.audit_endpoint or blobs, settings.audit),
            inventories=self._of_storage(BlobInventories, blobs, settings.inventory),
            sender=self._kept(CloudToDeviceSender(settings.iothub_hostname, blocking)),
            hub=hub,
            provisioning=self._kept(Enrollments(inventory)),
            feedback=self._kept(HubFeedback(settings.iothub_hostname, credential)),
            fleet_query=hub,
            enrolled=inventory,
            registry=self._registry(),
            ca_certificates={**self._authorities(), Source.GROUP: inventory},
            backlogs=self._backlogs(),
            event_hubs=self._event_hubs(),
            connections=self._connections,
        )

    def _kept[T: _Closing](self, adapter: T) -> T:
        self._connections.push_async_callback(adapter.close)
        return adapter

    def _of_storage[T: _OfStorage](self, adapter: type[T], endpoint: str | None, name: str) -> T:
        """By connection string where there is one, else by identity."""
        if account := self._settings.storage:
            return self._kept(adapter.from_connection_string(account, name))
        return self._kept(adapter.from_endpoint(endpoint or "", name, self._credential))

    def _backlogs(self) -> Sequence[BlobBacklog | PoisonBacklog]:
        settings = self._settings
        queues = settings.renewal_commands, settings.containment, settings.operations
        return [
            self._of_storage(BlobBacklog, settings.blob_endpoint, settings.dead_letters),
            *(self._of_storage(PoisonBacklog, settings.queue_endpoint, queue) for queue in queues),
        ]

    def _registry(self) -> AdrNamespace | None:
        settings = self._settings
        if settings.adr_generation == "none" or settings.adr_namespace_id is None:
            return None
        generation = GENERATIONS[settings.adr_generation]
        namespace = AdrNamespace(settings.arm_endpoint, settings.adr_namespace_id, generation, self._credential)
        return self._kept(namespace)

    def _authorities(self) -> Mapping[Source, ArmCertificates]:
        settings = self._settings
        versions = {
            Source.HUB: (settings.iothub_resource_id, HUB_API_VERSION),
            Source.DPS: (settings.dps_resource_id, DPS_API_VERSION),
        }
        return {
            source: self._kept(ArmCertificates(settings.arm_endpoint, resource_id, version, self._credential))
            for source, (resource_id, version) in versions.items()
            if resource_id is not None
        }

    def _event_hubs(self) -> Sequence[EventHubPositions]:
        """Those whose connection and whose host's checkpoints are known: all of them in a Functions app."""
        settings = self._settings
        if settings.host_storage:
            checkpoints = HostCheckpoints.from_connection_string(settings.host_storage, CHECKPOINTS)
        elif settings.host_blobs:
            checkpoints = HostCheckpoints.from_endpoint(settings.host_blobs, CHECKPOINTS, self._credential)
        else:
            return ()
        self._kept(checkpoints)
        given = (
            (settings.iot_events, settings.iot_events_text, settings.iot_events_namespace),
            (settings.dps_events, settings.dps_events_text, settings.dps_events_namespace),
            (settings.connection_events, settings.connection_events_text, settings.connection_events_namespace),
        )
        places = [
            EventHubPlace(name, settings.events_consumer_group, text or namespace or "", is_namespace=not text)
            for name, text, namespace in given
            if text or namespace
        ]
        return [EventHubPositions(place, checkpoints, self._credential) for place in places]
