"""The deployed app: registers the triggers. Services are built at their first use."""

import azure.functions as func

from functions import (
    containment,
    deadlines,
    device,
    devices,
    disable,
    dps_events,
    health,
    hub_events,
    renew,
    renewal_commands,
)

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for module in (
    hub_events,
    dps_events,
    deadlines,
    renewal_commands,
    containment,
    devices,
    device,
    renew,
    disable,
    health,
):
    app.register_functions(module.blueprint)
