"""What real hubs do not have: a look at what the hub has seen, for the demo's and the tests' checks."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from fleetcert.local.instants import precise
from fleetcert.local.iothub.device import Device
from fleetcert.local.iothub.observations import describe
from fleetcert.local.iothub.rest import LOCAL_PREFIX, SERVICES, answer

ROUTES: Final = web.RouteTableDef()


@ROUTES.get(f"{LOCAL_PREFIX}devices")
async def observed_devices(request: web.Request) -> web.Response:
    """Device id to what was seen of it, connected or refused, known or not.

    Each: {"session": {"connectedAt", "certificate"} or null, "certificate" of the last accepted connection
    ({"thumbprint", "notBefore", "notAfter"} or null), "refusals" and "sessionEnds" [{"time", "reason"}],
    "cloudToDevice" {"accepted", "delivered", "acknowledged"}, "telemetry" count}.
    """
    services = request.app[SERVICES]
    seen = services.observations.document()
    sessions = {device.device_id: _session(device) for device in services.devices}
    return answer({device_id: {**seen[device_id], "session": sessions.get(device_id)} for device_id in seen})


def _session(device: Device) -> dict[str, object] | None:
    session = device.session
    if session is None:
        return None
    certificate = None if session.certificate is None else describe(session.certificate)
    return {"connectedAt": precise(session.connected_at), "certificate": certificate}
