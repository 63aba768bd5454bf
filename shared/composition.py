"""The one place that knows services and adapters together: builds them at their first use, once a process.

Nothing is imported from an SDK and nothing is asked of a network before that, because a cold start pays for both.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from msgspec import Struct, field
from msgspec.structs import replace

from shared import telemetry, tracing
from shared.observing import begin_telemetry
from shared.settings import Settings, read_settings

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    from shared.adapters.adr import AdrNamespace
    from shared.adapters.arm import ArmCertificates
    from shared.adapters.principal import PlatformPrincipals
    from shared.domain.ca_watch import Source
    from shared.domain.changes import Policies
    from shared.services.auditing import Auditing, AuditLog
    from shared.services.bulk import Bulk
    from shared.services.commands import Commands
    from shared.services.containment import Containment
    from shared.services.containment_watch import ContainmentWatch
    from shared.services.deadlines import Deadlines
    from shared.services.devices import Devices
    from shared.services.event_lag import EventPositions
    from shared.services.exporting import ExportFiles, Exports
    from shared.services.feedback import Feedback, FeedbackQueue
    from shared.services.fleet_circumstances import FleetCircumstances
    from shared.services.fleet_gauges import FleetGauges
    from shared.services.fleet_health import Backlog, HealthWatch
    from shared.services.histories import Histories
    from shared.services.idempotency import Idempotency
    from shared.services.intake import Intake
    from shared.services.inventories import Inventories, InventoryBlobs
    from shared.services.issuers import CaCertificates, IssuerWatch
    from shared.services.leaf_rows import LeafRows
    from shared.services.ledger import Ledger
    from shared.services.limiting import OperationLimit
    from shared.services.listing import Listing
    from shared.services.operations import Operations
    from shared.services.outbox import Outbox
    from shared.services.ports import (
        Alerts,
        CommandSender,
        DeadLetters,
        DeviceRegistry,
        Hub,
        Provisioning,
        Table,
        TrustedIssuersNow,
        WorkQueue,
    )
    from shared.services.presence import Presence
    from shared.services.pruning import Pruning
    from shared.services.reconciling import Enrolled, FleetQuery, Reconciling
    from shared.services.recording import Recording
    from shared.services.rotation import Rotation
    from shared.services.seen import SeenRows
    from shared.services.selection import Selection
    from shared.services.snapshots import Snapshots
    from shared.services.store import FleetStore
    from shared.services.strangers import Strangers
    from shared.services.summaries import Summaries
    from shared.services.suppressions import Suppressions
    from shared.services.sweeps import Sweeps

type Closer = Callable[[], Awaitable[None]]


class Watching(Struct, frozen=True, kw_only=True):
    """The fleet as a whole: who may sign for it, how it stands, and what is not to be told of it."""

    issuers: IssuerWatch
    suppressions: Suppressions
    health: HealthWatch
    snapshots: Snapshots
    summaries: Summaries
    gauges: FleetGauges


class Services(Struct, frozen=True, kw_only=True):
    """The use cases, ready to be called."""

    recording: Recording
    deadlines: Deadlines
    commands: Commands
    containment: Containment
    containment_watch: ContainmentWatch
    devices: Devices
    listing: Listing
    idempotency: Idempotency
    limit: OperationLimit
    exports: Exports
    histories: Histories
    circumstances: FleetCircumstances
    rotation: Rotation
    strangers: Strangers
    intake: Intake
    sweeps: Sweeps
    watching: Watching
    auditing: Auditing
    pruning: Pruning
    feedback: Feedback
    presence: Presence
    reconciling: Reconciling
    operations: Operations
    bulk: Bulk
    inventories: Inventories


class Adapters(Struct, frozen=True, kw_only=True):
    """The ports, each with the real SDK behind it."""

    table: Table
    alerts: Alerts
    renewal_commands: WorkQueue
    containment: WorkQueue
    operations: WorkQueue
    exports: ExportFiles
    dead_letters: DeadLetters
    audit: AuditLog
    inventories: InventoryBlobs
    sender: CommandSender
    hub: Hub
    provisioning: Provisioning
    feedback: FeedbackQueue
    fleet_query: FleetQuery
    enrolled: Enrolled
    registry: DeviceRegistry | None = None
    ca_certificates: Mapping[Source, CaCertificates] = field(default_factory=dict)
    backlogs: Sequence[Backlog] = ()
    event_hubs: Sequence[EventPositions] = ()
    closers: tuple[Closer, ...] = ()


class Composition:
    """What an environment amounts to."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._composing = asyncio.Lock()
        self._services: Services | None = None
        self._adapters: Adapters | None = None
        self._is_observed = False
        self._close_telemetry: Callable[[], None] | None = None

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

    @cached_property
    def site(self) -> str:
        """The function app's name, as the platform gives it."""
        return self._environment.get("WEBSITE_SITE_NAME") or "fleetcert"

    def expanded(self, text: str) -> str:
        """A binding's member with the value of each setting that it names as `%NAME%`, as the host sees it."""
        return re.sub(r"%(\w+)%", lambda named: self._environment.get(named[1], named[0]), text)

    def observe(self) -> None:
        """Begins to export telemetry at its first call, if it goes anywhere: trouble with it stops nobody's work."""
        if not self._is_observed:
            self._is_observed = True
            self._close_telemetry = begin_telemetry(self._environment)

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
        if self._close_telemetry is not None:
            await asyncio.to_thread(self._close_telemetry)

    async def _compose(self) -> Services:
        if self._adapters is None:
            self._adapters = build_adapters(self.settings)
        return await build_services(self.settings, self._adapters)


async def build_services(settings: Settings, adapters: Adapters) -> Services:
    """The services on these adapters. Raises: SettingsError where SHARDS is not the table's, InfrastructureFault."""
    from shared.clock import SystemClock
    from shared.services.auditing import Auditing
    from shared.services.bulk import Bulk
    from shared.services.commands import Commands
    from shared.services.containment_watch import ContainmentWatch
    from shared.services.counting import CountedDeadLetters, CountedSender, CountedTable
    from shared.services.deadlines import Deadlines
    from shared.services.devices import Devices
    from shared.services.exporting import Exports
    from shared.services.feedback import Feedback
    from shared.services.fleet_circumstances import FleetCircumstances, read_windows
    from shared.services.histories import Histories
    from shared.services.idempotency import Idempotency
    from shared.services.intake import Intake
    from shared.services.inventories import Inventories
    from shared.services.issuers import TrustedIssuers
    from shared.services.leaf_rows import LeafRows
    from shared.services.ledger import Ledger
    from shared.services.limiting import OperationLimit
    from shared.services.listing import Listing
    from shared.services.outbox import Outbox
    from shared.services.pacing import Budget
    from shared.services.presence import Presence
    from shared.services.pruning import Pruning
    from shared.services.recording import Recording
    from shared.services.rotation import Rotation
    from shared.services.seen import SeenRows
    from shared.services.selection import Selection
    from shared.services.store import FleetStore
    from shared.services.strangers import Strangers
    from shared.services.suppressions import Suppressions
    from shared.services.sweeps import Sweeps
    from shared.services.telling import RecordedTags, Telling

    clock, policies = SystemClock(), _policies(settings)
    adapters = _observed(settings, adapters)
    budget = Budget(settings.c2d_per_minute, settings.c2d_share)
    table = CountedTable(adapters.table)
    store = FleetStore(table, settings.shards)
    await store.check_layout()
    suppressions = Suppressions(table, clock)
    alerts = Telling(adapters.alerts, suppressions, RecordedTags(store), settings.digest_above)
    outbox = Outbox(store, alerts, adapters.renewal_commands, adapters.containment)
    circumstances = FleetCircumstances(
        table, read_windows(settings.maintenance_windows, settings.maintenance_time_zone), clock
    )
    ledger = Ledger(table, budget)
    deadlines = Deadlines(store, outbox, adapters.hub, policies, budget, clock, circumstances, ledger)
    strangers = Strangers(table, alerts, clock)
    dead_letters = CountedDeadLetters(adapters.dead_letters)
    seen = SeenRows(table, settings.shards)
    issuers = TrustedIssuers(table, clock, settings.trusted_issuers)
    listing = Listing(table, store.partitions)
    leaves = LeafRows(table, settings.shards)
    containment = _containment(settings, adapters, store, outbox, seen, leaves)
    selection = Selection(table, store)
    operations = _operations(settings, adapters, table, store, selection, deadlines, containment, ledger, listing)
    recording = Recording(store, outbox, dead_letters, adapters.hub, policies, clock, strangers, issuers)
    return Services(
        recording=recording,
        intake=Intake(recording, alerts, clock),
        sweeps=Sweeps(deadlines, table, alerts, clock),
        watching=_watching(settings, adapters, store, table, alerts, suppressions),
        deadlines=deadlines,
        commands=Commands(store, CountedSender(adapters.sender), adapters.hub, policies, clock),
        containment=containment,
        containment_watch=ContainmentWatch(seen),
        devices=Devices(store, deadlines, clock),
        listing=listing,
        idempotency=Idempotency(table, clock, operations.new_id),
        limit=OperationLimit(table),
        exports=Exports(table, operations, adapters.exports, settings.export_retention, clock),
        histories=Histories(table, settings.shards),
        auditing=Auditing(adapters.table, adapters.audit, store.partitions, clock),
        pruning=Pruning(adapters.table, store.partitions, settings.history_retention, clock),
        circumstances=circumstances,
        rotation=Rotation(store, table, circumstances, budget, clock),
        strangers=strangers,
        feedback=Feedback(store, adapters.feedback, clock, enabled=settings.feedback == "on"),
        presence=Presence(
            seen,
            dead_letters,
            alerts,
            adapters.containment,
            clock,
            settings.connection_state,
            settings.connection_look_interval,
        ),
        reconciling=_reconciling(settings, adapters, store, table, outbox, policies, issuers),
        operations=operations,
        bulk=Bulk(table, selection, operations),
        inventories=Inventories(adapters.inventories, table, store, leaves, policies, clock),
    )


def _observed(settings: Settings, adapters: Adapters) -> Adapters:
    """The ports as they are, where nothing is exported; else each call of them is a span and a duration.

    IoT Hub, DPS and Azure Resource Manager are not among them: their adapters trace the requests themselves.
    """
    if not tracing.is_on():
        return adapters
    from shared.calling import observed
    from shared.services.traced_ports import TracedAlerts, TracedQueue, TracedSender, TracedTable

    hubs = settings.iot_events, settings.dps_events, settings.connection_events
    telemetry.begin_at_zero({"hub": hubs})
    blobs = {"az.namespace": "Microsoft.Storage", "server.address": settings.storage_host("blob")}
    queue_host, events = settings.storage_host("queue"), {"messaging.system": "eventhubs"}
    return replace(
        adapters,
        table=TracedTable(adapters.table, settings.fleet_table, settings.storage_host("table")),
        alerts=TracedAlerts(adapters.alerts, urlsplit(settings.eventgrid_topic_endpoint).netloc),
        renewal_commands=TracedQueue(adapters.renewal_commands, settings.renewal_commands, queue_host),
        containment=TracedQueue(adapters.containment, settings.containment, queue_host),
        operations=TracedQueue(adapters.operations, settings.operations, queue_host),
        sender=TracedSender(adapters.sender, settings.iothub_hostname),
        dead_letters=observed(adapters.dead_letters, "dead-letters", blobs),
        audit=observed(adapters.audit, "audit", blobs),
        inventories=observed(adapters.inventories, "inventory", blobs),
        exports=observed(adapters.exports, "exports", blobs),
        backlogs=[observed(backlog, "backlog", blobs) for backlog in adapters.backlogs],
        event_hubs=[observed(hub, "event-hub", events) for hub in adapters.event_hubs],
    )


def _containment(
    settings: Settings, adapters: Adapters, store: FleetStore, outbox: Outbox, seen: SeenRows, leaves: LeafRows
) -> Containment:
    from shared.clock import SystemClock
    from shared.services.containment import Containment

    return Containment(
        store,
        outbox,
        adapters.hub,
        adapters.provisioning,
        SystemClock(),
        settings.containment_look_interval,
        seen,
        leaves,
        adapters.registry,
        purges=settings.containment_purge,
    )


def _operations(
    settings: Settings,
    adapters: Adapters,
    table: Table,
    store: FleetStore,
    selection: Selection,
    deadlines: Deadlines,
    containment: Containment,
    ledger: Ledger,
    listing: Listing,
) -> Operations:
    """Long work. A kind of operation is known by its handler."""
    from shared.clock import SystemClock
    from shared.domain.operations import OperationKind
    from shared.services.bulk_actions import DisableMany, RenewMany
    from shared.services.bulk_work import BulkHandler
    from shared.services.exporting import ExportWork
    from shared.services.ledger import Ledger
    from shared.services.operation_rows import OperationRows
    from shared.services.operations import OperationHandler, Operations
    from shared.services.pacing import disabling
    from shared.services.targets import TargetRows

    clock, targets = SystemClock(), TargetRows(table)
    registry = Ledger(table, disabling(settings.registry_per_minute, settings.registry_share), "registry")
    renewing = RenewMany(store, deadlines, ledger, clock)
    disabling_many = DisableMany(store, containment, registry, clock)
    handlers: dict[OperationKind, OperationHandler] = {
        OperationKind.BULK_RENEW: BulkHandler(renewing, selection, targets),
        OperationKind.BULK_DISABLE: BulkHandler(disabling_many, selection, targets),
        OperationKind.EXPORT: ExportWork(listing, adapters.exports),
    }
    rows = OperationRows(table)
    return Operations(rows, adapters.operations, handlers, clock, settings.operation_step, settings.history_retention)


def _reconciling(
    settings: Settings,
    adapters: Adapters,
    store: FleetStore,
    table: Table,
    outbox: Outbox,
    policies: Policies,
    issuers: TrustedIssuersNow,
) -> Reconciling:
    from shared.clock import SystemClock
    from shared.services.leaf_rows import LeafRows
    from shared.services.pass_rows import PassRows
    from shared.services.reconciling import Pace, Reconciling
    from shared.services.repairing import Repairs

    clock, hub = SystemClock(), settings.iothub_resource_id.rpartition("/")[2]
    pace = Pace(
        settings.reconcile_every,
        settings.reconcile_step,
        settings.reconcile_queries_per_minute,
        settings.reconcile_share,
    )
    leaves = LeafRows(table, settings.shards)
    repairs = Repairs(store, outbox, adapters.hub, adapters.provisioning, policies, clock, hub, issuers, leaves)
    rows = PassRows(table)
    return Reconciling(store, rows, repairs, adapters.fleet_query, adapters.enrolled, pace, clock)


def _watching(
    settings: Settings,
    adapters: Adapters,
    store: FleetStore,
    table: Table,
    alerts: Alerts,
    suppressions: Suppressions,
) -> Watching:
    from shared.clock import SystemClock
    from shared.domain.levels import Levels
    from shared.services.fleet_gauges import FleetGauges
    from shared.services.fleet_health import HealthWatch
    from shared.services.issuers import IssuerWatch
    from shared.services.snapshots import Snapshots
    from shared.services.summaries import Summaries

    clock, levels = SystemClock(), Levels.parse(settings.issuer_levels)
    return Watching(
        issuers=IssuerWatch(table, adapters.ca_certificates, alerts, clock, levels),
        suppressions=suppressions,
        health=HealthWatch(table, adapters.backlogs, alerts, suppressions, clock, adapters.event_hubs),
        snapshots=Snapshots(
            store,
            table,
            clock,
            _policies(settings).renewal,
            validity=settings.policy_validity,
            interval=settings.snapshot_interval,
        ),
        summaries=Summaries(store, table, clock),
        gauges=FleetGauges(table),
    )


def build_adapters(settings: Settings) -> Adapters:
    """The real adapters; none of them connects before its first use."""
    from shared.adapters.alerts import EventGridAlerts
    from shared.adapters.commands import CloudToDeviceSender
    from shared.adapters.credential import async_credential, blocking_credential
    from shared.adapters.dps import Enrollments
    from shared.adapters.dps_inventory import DpsInventory
    from shared.adapters.feedback import HubFeedback
    from shared.adapters.hub_query import HubQuery
    from shared.domain.ca_watch import Source

    managed, client_id = settings.has_managed_identity, settings.client_id
    credential = async_credential(managed=managed, client_id=client_id)
    blocking = blocking_credential(managed=managed, client_id=client_id)
    storage = _Storage(settings, credential)
    alerts = EventGridAlerts(settings.eventgrid_topic_endpoint, settings.iothub_resource_id, credential)
    sender = CloudToDeviceSender(settings.iothub_hostname, blocking)
    hub = HubQuery(settings.iothub_hostname, blocking)
    feedback = HubFeedback(settings.iothub_hostname, credential)
    authorities = _authorities(settings, credential)
    event_hubs, close_event_hubs = _event_hubs(settings, credential)
    inventory = DpsInventory(settings.dps_service_hostname, credential)
    enrollments = Enrollments(inventory)
    registry = _registry(settings, credential)
    return Adapters(
        table=storage.table,
        alerts=alerts,
        renewal_commands=storage.renewal_commands,
        containment=storage.containment,
        operations=storage.operations,
        exports=storage.exports,
        dead_letters=storage.dead_letters,
        audit=storage.audit,
        inventories=storage.inventories,
        sender=sender,
        hub=hub,
        provisioning=enrollments,
        feedback=feedback,
        fleet_query=hub,
        enrolled=inventory,
        registry=registry,
        ca_certificates={**authorities, Source.GROUP: inventory},
        backlogs=storage.backlogs,
        event_hubs=event_hubs,
        closers=(
            *storage.closers,
            *close_event_hubs,
            *(listed.close for listed in authorities.values()),
            *((registry.close,) if registry else ()),
            alerts.close,
            sender.close,
            hub.close,
            feedback.close,
            enrollments.close,
            credential.close,
        ),
    )


def _registry(settings: Settings, credential: AsyncTokenCredential) -> AdrNamespace | None:
    if settings.adr_generation == "none" or settings.adr_namespace_id is None:
        return None
    from shared.adapters.adr import GENERATIONS, AdrNamespace

    generation = GENERATIONS[settings.adr_generation]
    return AdrNamespace(settings.arm_endpoint, settings.adr_namespace_id, generation, credential)


def _authorities(settings: Settings, credential: AsyncTokenCredential) -> dict[Source, ArmCertificates]:
    from shared.adapters.arm import DPS_API_VERSION, HUB_API_VERSION, ArmCertificates
    from shared.domain.ca_watch import Source

    versions = {
        Source.HUB: (settings.iothub_resource_id, HUB_API_VERSION),
        Source.DPS: (settings.dps_resource_id, DPS_API_VERSION),
    }
    return {
        source: ArmCertificates(settings.arm_endpoint, resource_id, version, credential)
        for source, (resource_id, version) in versions.items()
        if resource_id is not None
    }


def _event_hubs(
    settings: Settings, credential: AsyncTokenCredential
) -> tuple[Sequence[EventPositions], tuple[Closer, ...]]:
    """Those whose connection and whose host's checkpoints are known: all of them in a Functions app."""
    from shared.adapters.event_positions import EventHubPlace, EventHubPositions, HostCheckpoints

    if settings.host_storage:
        checkpoints = HostCheckpoints.from_connection_string(settings.host_storage)
    elif settings.host_blobs:
        checkpoints = HostCheckpoints.from_endpoint(settings.host_blobs, credential)
    else:
        return (), ()
    group = settings.events_consumer_group
    given = (
        (settings.iot_events, settings.iot_events_text, settings.iot_events_namespace),
        (settings.dps_events, settings.dps_events_text, settings.dps_events_namespace),
        (settings.connection_events, settings.connection_events_text, settings.connection_events_namespace),
    )
    places = [
        EventHubPlace(name, group, text or namespace or "", is_namespace=not text)
        for name, text, namespace in given
        if text or namespace
    ]
    return [EventHubPositions(place, checkpoints, credential) for place in places], (checkpoints.close,)


class _Storage:
    """The storage account's adapters, by connection string where there is one, else by identity."""

    def __init__(self, settings: Settings, credential: AsyncTokenCredential) -> None:
        from shared.adapters.audit import AppendBlobs
        from shared.adapters.backlogs import BlobBacklog, PoisonBacklog
        from shared.adapters.deadletters import BlobDeadLetters
        from shared.adapters.exports import BlobExports
        from shared.adapters.inventories import BlobInventories
        from shared.adapters.queues import StorageQueue
        from shared.adapters.table import AzureTable

        queues = settings.renewal_commands, settings.containment, settings.operations
        if account := settings.storage:
            self.table = AzureTable.from_connection_string(account, settings.fleet_table)
            self.dead_letters = BlobDeadLetters.from_connection_string(account, settings.dead_letters)
            self.audit = AppendBlobs.from_connection_string(account, settings.audit)
            self.exports = BlobExports.from_connection_string(account, settings.exports)
            self.inventories = BlobInventories.from_connection_string(account, settings.inventory)
            self.backlogs: list[BlobBacklog | PoisonBacklog] = [
                BlobBacklog.from_connection_string(account, settings.dead_letters),
                *(PoisonBacklog.from_connection_string(account, queue) for queue in queues),
            ]
            self.renewal_commands, self.containment, self.operations = (
                StorageQueue.from_connection_string(account, name) for name in queues
            )
        else:
            endpoints = settings.table_endpoint or "", settings.blob_endpoint or "", settings.queue_endpoint or ""
            self.table = AzureTable.from_endpoint(endpoints[0], settings.fleet_table, credential)
            self.dead_letters = BlobDeadLetters.from_endpoint(endpoints[1], settings.dead_letters, credential)
            self.audit = AppendBlobs.from_endpoint(settings.audit_endpoint or endpoints[1], settings.audit, credential)
            self.exports = BlobExports.from_endpoint(endpoints[1], settings.exports, credential)
            self.inventories = BlobInventories.from_endpoint(endpoints[1], settings.inventory, credential)
            self.backlogs = [
                BlobBacklog.from_endpoint(endpoints[1], settings.dead_letters, credential),
                *(PoisonBacklog.from_endpoint(endpoints[2], queue, credential) for queue in queues),
            ]
            self.renewal_commands, self.containment, self.operations = (
                StorageQueue.from_endpoint(endpoints[2], name, credential) for name in queues
            )
        self.closers: tuple[Closer, ...] = (
            self.table.close,
            self.dead_letters.close,
            self.audit.close,
            self.exports.close,
            self.inventories.close,
            self.renewal_commands.close,
            self.containment.close,
            self.operations.close,
            *(backlog.close for backlog in self.backlogs),
        )


def _policies(settings: Settings) -> Policies:
    from shared.domain.changes import Policies
    from shared.domain.levels import Levels
    from shared.domain.policy import BeliefPolicy, RenewalPolicy

    return Policies(
        RenewalPolicy(
            settings.renewal_window,
            settings.renewal_share,
            command_ttl=settings.command_ttl,
            confirmation_grace=settings.confirmation_grace,
            onboarding_levels=Levels.parse(settings.onboarding_levels),
        ),
        BeliefPolicy(settings.clock_skew, settings.policy_validity, require_pem=settings.require_pem),
    )


app: Final = Composition(os.environ)
"""What the deployed functions use."""
