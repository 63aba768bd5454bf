"""The same ports, each of whose calls can be seen in a trace."""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec.structs import replace

from shared import telemetry, tracing
from shared.calling import observed
from shared.composition.ports import Adapters
from shared.services.traced_ports import TracedAlerts, TracedQueue, TracedSender, TracedTable
from shared.settings import Settings


def traced(settings: Settings, adapters: Adapters) -> Adapters:
    """The ports as they are, where nothing is exported; else each call of them is a span and a duration.

    IoT Hub, DPS and Azure Resource Manager are not among them: their adapters trace the requests themselves.
    """
    if not tracing.is_on():
        return adapters
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
