"""`/devices` and `/statistics`: identities one by one and in bulk."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from aiohttp import web

from fleetcert.local.iothub.bulk import change_identities
from fleetcert.local.iothub.errors import invalid_argument
from fleetcert.local.iothub.etags import Preconditions
from fleetcert.local.iothub.identity_registry import IdentityRegistry
from fleetcert.local.iothub.rest import SERVICES, answer, json_body, json_object
from fleetcert.local.iothub.throttles import Throttle

ROUTES: Final = web.RouteTableDef()

_MAX_TOP: Final = 1000


@ROUTES.get("/devices")
async def list_devices(request: web.Request) -> web.Response:
    """The first `top` identities, 1000 at most."""
    devices = _devices(request)
    top = request.query.get("top", str(_MAX_TOP))
    if not top.isdecimal() or not 1 <= int(top) <= _MAX_TOP:
        raise invalid_argument(f"top must be 1 to {_MAX_TOP}.")
    return answer([device.identity_document() for device in islice(devices, int(top))])


@ROUTES.post("/devices")
async def bulk(request: web.Request) -> web.Response:
    """Up to 100 identities: created, changed or deleted, each for itself."""
    devices = _devices(request)
    errors = change_identities(devices, request.app[SERVICES].twins, await json_body(request))
    result: dict[str, Any] = {"isSuccessful": not errors, "errors": errors, "warnings": []}
    return web.json_response(result, status=400 if errors else 200)


@ROUTES.get("/devices/{id}")
async def get_device(request: web.Request) -> web.Response:
    """One identity."""
    device = _devices(request).get(request.match_info["id"])
    return answer(device.identity_document(), etag=device.identity.etag)


@ROUTES.put("/devices/{id}")
async def put_device(request: web.Request) -> web.Response:
    """Creates an identity or replaces its document. Both are 200, the only status that the SDKs take for success."""
    document = await json_object(request)
    device = _devices(request).put(request.match_info["id"], document, Preconditions.of(request.headers))
    return answer(device.identity_document(), etag=device.identity.etag)


@ROUTES.delete("/devices/{id}")
async def delete_device(request: web.Request) -> web.Response:
    """Deletes an identity. 204, the only status that the SDKs take for success."""
    _devices(request).delete(request.match_info["id"], Preconditions.of(request.headers))
    return web.Response(status=204)


@ROUTES.get("/statistics/devices")
async def registry_statistics(request: web.Request) -> web.Response:
    """How many identities there are."""
    enabled = [device.identity.enabled for device in request.app[SERVICES].devices]
    return answer(
        {
            "totalDeviceCount": len(enabled),
            "enabledDeviceCount": sum(enabled),
            "disabledDeviceCount": len(enabled) - sum(enabled),
        }
    )


@ROUTES.get("/statistics/service")
async def service_statistics(request: web.Request) -> web.Response:
    """How many devices are connected."""
    return answer({"connectedDeviceCount": sum(d.session is not None for d in request.app[SERVICES].devices)})


def _devices(request: web.Request) -> IdentityRegistry:
    """The registry, each request counted against its throttle."""
    services = request.app[SERVICES]
    services.throttles.check(Throttle.REGISTRY)
    return services.devices
