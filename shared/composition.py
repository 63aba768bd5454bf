"""The one place that knows services and adapters together: builds them at their first use, once a process.

Nothing is imported from an SDK and nothing is asked of a network before that, because a cold start pays for both.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from shared.settings import Settings, read_settings

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    from shared.adapters.principal import PlatformPrincipals
    from shared.domain.changes import Policies
    from shared.services.commands import Commands
    from shared.services.containment import Containment
    from shared.services.deadlines import Deadlines
    from shared.services.devices import Devices
    from shared.services.ports import Alerts, CommandSender, DeadLetters, Hub, Provisioning, Table, WorkQueue
    from shared.services.recording import Recording

type Closer = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The use cases, ready to be called."""

    recording: Recording
    deadlines: Deadlines
    commands: Commands
    containment: Containment
    devices: Devices


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """The ports, each with the real SDK behind it."""

    table: Table
    alerts: Alerts
    renewal_commands: WorkQueue
    containment: WorkQueue
    dead_letters: DeadLetters
    sender: CommandSender
    hub: Hub
    provisioning: Provisioning
    closers: tuple[Closer, ...] = ()


class Composition:
    """What an environment amounts to."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._composing = asyncio.Lock()
        self._services: Services | None = None
        self._adapters: Adapters | None = None

    @cached_property
    def settings(self) -> Settings:
        """The settings. Raises: SettingsError, at every use until they are right."""
        return read_settings(self._environment)

    @cached_property
    def principals(self) -> PlatformPrincipals:
        """Who reads callers. Raises: SettingsError."""
        from shared.adapters.principal import PlatformPrincipals

        return PlatformPrincipals(
            platform_authenticates=self.settings.platform_authenticates, tenant_id=self.settings.tenant_id
        )

    async def services(self) -> Services:
        """The services. The first call checks the table's layout.

        Raises: SettingsError, InfrastructureFault; the next call tries again.
        """
        async with self._composing:
            if self._services is None:
                self._services = await self._compose()
            return self._services

    async def close(self) -> None:
        """Closes all connections; a later use composes anew."""
        adapters, self._adapters, self._services = self._adapters, None, None
        for close in adapters.closers if adapters else ():
            await close()

    async def _compose(self) -> Services:
        if self._adapters is None:
            self._adapters = build_adapters(self.settings)
        return await build_services(self.settings, self._adapters)


async def build_services(settings: Settings, adapters: Adapters) -> Services:
    """The services on these adapters. Raises: SettingsError where SHARDS is not the table's, InfrastructureFault."""
    from shared.clock import SystemClock
    from shared.services.commands import Commands
    from shared.services.containment import Containment
    from shared.services.deadlines import Deadlines
    from shared.services.devices import Devices
    from shared.services.outbox import Outbox
    from shared.services.pacing import Budget
    from shared.services.recording import Recording
    from shared.services.store import FleetStore

    clock, policies = SystemClock(), _policies(settings)
    budget = Budget(settings.c2d_per_minute, settings.c2d_share)
    store = FleetStore(adapters.table, settings.shards)
    await store.check_layout()
    outbox = Outbox(store, adapters.alerts, adapters.renewal_commands, adapters.containment)
    deadlines = Deadlines(store, outbox, adapters.hub, policies, budget, clock)
    return Services(
        recording=Recording(store, outbox, adapters.dead_letters, adapters.hub, policies, clock),
        deadlines=deadlines,
        commands=Commands(store, adapters.sender, adapters.hub, policies, clock),
        containment=Containment(
            store, outbox, adapters.hub, adapters.provisioning, clock, settings.containment_look_interval
        ),
        devices=Devices(store, deadlines, clock),
    )


def build_adapters(settings: Settings) -> Adapters:
    """The real adapters; none of them connects before its first use."""
    from shared.adapters.alerts import EventGridAlerts
    from shared.adapters.commands import CloudToDeviceSender
    from shared.adapters.credential import async_credential, blocking_credential
    from shared.adapters.dps import Enrollments, ServiceApi
    from shared.adapters.iothub import IotHub

    managed, client_id = settings.has_managed_identity, settings.client_id
    credential = async_credential(managed=managed, client_id=client_id)
    blocking = blocking_credential(managed=managed, client_id=client_id)
    storage = _Storage(settings, credential)
    alerts = EventGridAlerts(settings.eventgrid_topic_endpoint, settings.iothub_resource_id, credential)
    sender = CloudToDeviceSender(settings.iothub_hostname, blocking)
    hub = IotHub(settings.iothub_hostname, blocking)
    enrollments = Enrollments(ServiceApi(settings.dps_service_hostname, credential))
    return Adapters(
        table=storage.table,
        alerts=alerts,
        renewal_commands=storage.renewal_commands,
        containment=storage.containment,
        dead_letters=storage.dead_letters,
        sender=sender,
        hub=hub,
        provisioning=enrollments,
        closers=(*storage.closers, alerts.close, sender.close, hub.close, enrollments.close, credential.close),
    )


class _Storage:
    """The storage account's adapters, by connection string where there is one, else by identity."""

    def __init__(self, settings: Settings, credential: AsyncTokenCredential) -> None:
        from shared.adapters.deadletters import BlobDeadLetters
        from shared.adapters.queues import StorageQueue
        from shared.adapters.table import AzureTable

        if account := settings.storage:
            self.table = AzureTable.from_connection_string(account, settings.fleet_table)
            self.dead_letters = BlobDeadLetters.from_connection_string(account, settings.dead_letters)
            self.renewal_commands, self.containment = (
                StorageQueue.from_connection_string(account, name)
                for name in (settings.renewal_commands, settings.containment)
            )
        else:
            endpoints = settings.table_endpoint or "", settings.blob_endpoint or "", settings.queue_endpoint or ""
            self.table = AzureTable.from_endpoint(endpoints[0], settings.fleet_table, credential)
            self.dead_letters = BlobDeadLetters.from_endpoint(endpoints[1], settings.dead_letters, credential)
            self.renewal_commands, self.containment = (
                StorageQueue.from_endpoint(endpoints[2], name, credential)
                for name in (settings.renewal_commands, settings.containment)
            )
        self.closers: tuple[Closer, ...] = (
            self.table.close,
            self.dead_letters.close,
            self.renewal_commands.close,
            self.containment.close,
        )


def _policies(settings: Settings) -> Policies:
    from shared.domain.changes import Policies
    from shared.domain.policy import BeliefPolicy, RenewalPolicy

    return Policies(
        RenewalPolicy(settings.renewal_window, settings.renewal_share, command_ttl=settings.command_ttl),
        BeliefPolicy(settings.clock_skew, settings.policy_validity),
    )


app: Final = Composition(os.environ)
"""What the deployed functions use."""
