"""The deployed app: registers the triggers. Services are built at their first use."""

import azure.functions as func

from functions import (
    audit,
    command_feedback,
    connection_events,
    containment,
    deadlines,
    device,
    devices,
    disable,
    dps_events,
    fleet_health,
    fleet_summary,
    health,
    history,
    hub_events,
    inventory,
    issuers,
    pause,
    reconcile,
    renew,
    renewal_commands,
    resume,
    rotation,
    snapshot,
    strangers,
    suppress,
)
from functions.traced import TracedApp

app = TracedApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for module in (
    hub_events,
    dps_events,
    connection_events,
    deadlines,
    command_feedback,
    issuers,
    fleet_health,
    snapshot,
    rotation,
    strangers,
    fleet_summary,
    audit,
    history,
    reconcile,
    inventory,
    renewal_commands,
    containment,
    devices,
    device,
    renew,
    disable,
    pause,
    resume,
    suppress,
    health,
):
    app.register_functions(module.blueprint)
