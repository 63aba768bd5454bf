"""What the services are built on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from msgspec import Struct, field

from shared.domain.ca_watch import Source
from shared.services.auditing import AuditLog
from shared.services.event_lag import EventPositions
from shared.services.exporting import ExportFiles
from shared.services.feedback import FeedbackQueue
from shared.services.fleet_health import Backlog
from shared.services.inventories import InventoryBlobs
from shared.services.issuers import CaCertificates
from shared.services.ports import (
    Alerts,
    CommandSender,
    DeadLetters,
    DeviceRegistry,
    Hub,
    Provisioning,
    Table,
    WorkQueue,
)
from shared.services.reconciling import Enrolled, FleetQuery


class Adapters(Struct, frozen=True, kw_only=True):
    """The ports, each with something behind it. connections: what is to be closed in the end."""

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
    connections: AsyncExitStack = field(default_factory=AsyncExitStack)
