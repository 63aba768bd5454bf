"""Cloud-to-device messages over REST: purging a queue, and the feedback on deliveries."""

from __future__ import annotations

import json
from typing import Final

from aiohttp import web

from fleetcert.local.instants import precise
from fleetcert.local.iothub.feedback import CONTENT_TYPE
from fleetcert.local.iothub.rest import SERVICES, answer

ROUTES: Final = web.RouteTableDef()


@ROUTES.delete("/devices/{id}/commands")
async def purge(request: web.Request) -> web.Response:
    """Empties a device's queue."""
    services = request.app[SERVICES]
    device = services.devices.get(request.match_info["id"])
    purged = services.messages.purge(device)
    return answer({"deviceId": device.device_id, "moduleId": None, "totalMessagesPurged": purged})


@ROUTES.get("/messages/serviceBound/feedback")
async def receive_feedback(request: web.Request) -> web.Response:
    """A batch of feedback, locked for a minute; the lock token is the ETag, as for messages. 204: there is none."""
    services = request.app[SERVICES]
    batch = services.messages.feedback.receive(services.clock.now())
    if batch is None:
        return web.Response(status=204)
    headers = {
        "ETag": f'"{batch.lock_token}"',
        "iothub-messageid": batch.batch_id,
        "iothub-userid": request.host.partition(":")[0],
        "iothub-enqueuedtime": precise(batch.enqueued_at),
        "iothub-deliverycount": str(batch.deliveries - 1),
    }
    return web.Response(body=json.dumps(batch.records).encode(), content_type=CONTENT_TYPE, headers=headers)


@ROUTES.delete("/messages/serviceBound/feedback/{lock_token}")
async def complete_feedback(request: web.Request) -> web.Response:
    """Removes a batch."""
    services = request.app[SERVICES]
    services.messages.feedback.complete(request.match_info["lock_token"], services.clock.now())
    return web.Response(status=204)


@ROUTES.post("/messages/serviceBound/feedback/{lock_token}/abandon")
async def abandon_feedback(request: web.Request) -> web.Response:
    """Gives a batch back."""
    services = request.app[SERVICES]
    services.messages.feedback.abandon(request.match_info["lock_token"], services.clock.now())
    return web.Response(status=204)
