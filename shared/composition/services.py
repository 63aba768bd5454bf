"""The use cases on their ports: who needs whom."""

from __future__ import annotations

from functools import cached_property

from msgspec import Struct

from shared.clock import SystemClock
from shared.composition.ports import Adapters
from shared.domain.changes import Policies
from shared.domain.keys import FLEET_PARTITION
from shared.domain.levels import Levels
from shared.domain.operations import OperationKind
from shared.domain.policy import BeliefPolicy, RenewalPolicy
from shared.services.auditing import Auditing
from shared.services.bulk import Bulk
from shared.services.bulk_actions import DisableMany, RenewMany
from shared.services.bulk_work import BulkHandler
from shared.services.commands import Commands
from shared.services.containment import Containment
from shared.services.containment_watch import ContainmentWatch
from shared.services.counting import CountedDeadLetters, CountedSender, CountedTable
from shared.services.deadlines import Deadlines
from shared.services.devices import Devices
from shared.services.exporting import Exports, ExportWork
from shared.services.feedback import Feedback
from shared.services.fleet_circumstances import FleetCircumstances, read_windows
from shared.services.fleet_gauges import FleetGauges
from shared.services.fleet_health import HealthWatch
from shared.services.histories import Histories
from shared.services.idempotency import Idempotency
from shared.services.intake import Intake
from shared.services.inventories import Inventories
from shared.services.issuers import IssuerWatch, TrustedIssuers
from shared.services.leaf_rows import LeafRows
from shared.services.ledger import Ledger
from shared.services.limiting import OperationLimit
from shared.services.listing import Listing
from shared.services.operation_rows import OperationRows
from shared.services.operations import OperationHandler, Operations
from shared.services.outbox import Outbox
from shared.services.pacing import Budget, disabling
from shared.services.pass_rows import PassRows
from shared.services.presence import Presence
from shared.services.pruning import Pruning
from shared.services.reconciling import Pace, Reconciling
from shared.services.recording import Recording
from shared.services.repairing import Repairs
from shared.services.rotation import Rotation
from shared.services.seen import SeenRows
from shared.services.selection import Selection
from shared.services.snapshots import Snapshots
from shared.services.store import FleetStore
from shared.services.strangers import Strangers
from shared.services.summaries import Summaries
from shared.services.suppressions import Suppressions
from shared.services.sweeps import Sweeps
from shared.services.targets import TargetRows
from shared.services.telling import RecordedTags, Telling
from shared.settings import Settings


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


async def build_services(settings: Settings, adapters: Adapters) -> Services:
    """The services on these adapters. Raises: SettingsError where SHARDS is not the table's, InfrastructureFault."""
    wiring = _Wiring(settings, adapters)
    await wiring.store.check_layout()
    return wiring.services()


class _Wiring:
    """Each use case with what it needs; what several of them need is one object for all."""

    def __init__(self, settings: Settings, adapters: Adapters) -> None:
        self._settings = settings
        self._adapters = adapters
        self._clock = SystemClock()
        self._policies = _policies(settings)
        self._table = CountedTable(adapters.table)
        self._dead_letters = CountedDeadLetters(adapters.dead_letters)
        self._budget = Budget(settings.c2d_per_minute, settings.c2d_share)
        self._suppressions = Suppressions(self._table, self._clock)
        self._seen = SeenRows(self._table, settings.shards)
        self._leaves = LeafRows(self._table, settings.shards)
        self._trusted_issuers = TrustedIssuers(self._table, self._clock, settings.trusted_issuers)
        self.store = FleetStore(self._table, settings.shards)
        self._alerts = Telling(adapters.alerts, self._suppressions, RecordedTags(self.store), settings.digest_above)
        self._strangers = Strangers(self._table, self._alerts, self._clock)
        self._outbox = Outbox(self.store, self._alerts, adapters.renewal_commands, adapters.containment)
        self._listing = Listing(self._table, self.store.partitions)
        self._selection = Selection(self._table, self.store)
        self._ledger = Ledger(self._table, self._budget)

    def services(self) -> Services:
        settings, adapters, clock = self._settings, self._adapters, self._clock
        table, store = self._table, self.store
        return Services(
            recording=self._recording,
            intake=Intake(self._recording, self._alerts, clock),
            sweeps=Sweeps(self._deadlines, table, self._alerts, clock),
            watching=self._watching(),
            deadlines=self._deadlines,
            commands=Commands(store, CountedSender(adapters.sender), adapters.hub, self._policies, clock),
            containment=self._containment,
            containment_watch=ContainmentWatch(self._seen),
            devices=Devices(store, self._deadlines, clock),
            listing=self._listing,
            idempotency=Idempotency(table, clock, self._operations.new_id),
            limit=OperationLimit(table),
            exports=Exports(table, self._operations, adapters.exports, settings.export_retention, clock),
            histories=Histories(table, settings.shards),
            auditing=Auditing(adapters.table, adapters.audit, (FLEET_PARTITION, *store.partitions), clock),
            pruning=Pruning(adapters.table, store.partitions, settings.history_retention, clock),
            circumstances=self._circumstances,
            rotation=Rotation(store, table, self._circumstances, self._budget, clock),
            strangers=self._strangers,
            feedback=Feedback(store, adapters.feedback, clock, enabled=settings.feedback == "on"),
            presence=self._presence(),
            reconciling=self._reconciling(),
            operations=self._operations,
            bulk=Bulk(table, self._selection, self._operations),
            inventories=Inventories(adapters.inventories, table, store, self._leaves, self._policies, clock),
        )

    @cached_property
    def _circumstances(self) -> FleetCircumstances:
        windows = read_windows(self._settings.maintenance_windows, self._settings.maintenance_time_zone)
        return FleetCircumstances(self._table, windows, self._clock)

    @cached_property
    def _recording(self) -> Recording:
        return Recording(
            self.store,
            self._outbox,
            self._dead_letters,
            self._adapters.hub,
            self._policies,
            self._clock,
            self._strangers,
            self._trusted_issuers,
        )

    @cached_property
    def _deadlines(self) -> Deadlines:
        return Deadlines(
            self.store,
            self._outbox,
            self._adapters.hub,
            self._policies,
            self._budget,
            self._clock,
            self._circumstances,
            self._ledger,
        )

    @cached_property
    def _containment(self) -> Containment:
        return Containment(
            self.store,
            self._outbox,
            self._adapters.hub,
            self._adapters.provisioning,
            self._clock,
            self._settings.containment_look_interval,
            self._seen,
            self._leaves,
            self._adapters.registry,
            purges=self._settings.containment_purge,
        )

    @cached_property
    def _operations(self) -> Operations:
        """Long work. A kind of operation is known by its handler."""
        settings, table, clock = self._settings, self._table, self._clock
        registry = Ledger(table, disabling(settings.registry_per_minute, settings.registry_share), "registry")
        renewing = RenewMany(self.store, self._deadlines, self._ledger, clock)
        shutting_out = DisableMany(self.store, self._containment, registry, clock)
        targets = TargetRows(table)
        handlers: dict[OperationKind, OperationHandler] = {
            OperationKind.BULK_RENEW: BulkHandler(renewing, self._selection, targets),
            OperationKind.BULK_DISABLE: BulkHandler(shutting_out, self._selection, targets),
            OperationKind.EXPORT: ExportWork(self._listing, self._adapters.exports),
        }
        queue, rows = self._adapters.operations, OperationRows(table)
        return Operations(rows, queue, handlers, clock, settings.operation_step, settings.history_retention)

    def _presence(self) -> Presence:
        return Presence(
            self._seen,
            self._dead_letters,
            self._alerts,
            self._adapters.containment,
            self._clock,
            self._settings.connection_state,
            self._settings.connection_look_interval,
        )

    def _reconciling(self) -> Reconciling:
        settings, adapters = self._settings, self._adapters
        pace = Pace(
            settings.reconcile_every,
            settings.reconcile_step,
            settings.reconcile_queries_per_minute,
            settings.reconcile_share,
        )
        repairs = Repairs(
            self.store,
            self._outbox,
            adapters.hub,
            adapters.provisioning,
            self._policies,
            self._clock,
            settings.iothub_resource_id.rpartition("/")[2],
            self._trusted_issuers,
            self._leaves,
        )
        rows = PassRows(self._table)
        return Reconciling(self.store, rows, repairs, adapters.fleet_query, adapters.enrolled, pace, self._clock)

    def _watching(self) -> Watching:
        settings, adapters, table, clock = self._settings, self._adapters, self._table, self._clock
        levels = Levels.parse(settings.issuer_levels)
        return Watching(
            issuers=IssuerWatch(table, adapters.ca_certificates, self._alerts, clock, levels),
            suppressions=self._suppressions,
            health=HealthWatch(table, adapters.backlogs, self._alerts, self._suppressions, clock, adapters.event_hubs),
            snapshots=Snapshots(
                self.store,
                table,
                clock,
                self._policies.renewal,
                validity=settings.policy_validity,
                interval=settings.snapshot_interval,
            ),
            summaries=Summaries(self.store, table, clock),
            gauges=FleetGauges(table),
        )


def _policies(settings: Settings) -> Policies:
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
