"""`/twins` and `/devices/query`."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from fleetcert.local.iothub.device import Device
from fleetcert.local.iothub.errors import HubError, device_not_online, invalid_argument
from fleetcert.local.iothub.etags import Preconditions
from fleetcert.local.iothub.query import Query
from fleetcert.local.iothub.rest import SERVICES, answer, json_object
from fleetcert.local.iothub.throttles import Throttle

ROUTES: Final = web.RouteTableDef()

_PAGE: Final = 100
_MAX_PAGE: Final = 1000


@ROUTES.get("/twins/{id}")
async def get_twin(request: web.Request) -> web.Response:
    """A whole twin."""
    return _twin(_device(request))


@ROUTES.patch("/twins/{id}")
async def update_twin(request: web.Request) -> web.Response:
    """Merges tags and desired properties."""
    document = await json_object(request)
    device = _device(request)
    request.app[SERVICES].twins.update(device, document, Preconditions.of(request.headers))
    return _twin(device)


@ROUTES.put("/twins/{id}")
async def replace_twin(request: web.Request) -> web.Response:
    """Puts tags and desired properties."""
    document = await json_object(request)
    device = _device(request)
    request.app[SERVICES].twins.replace(device, document, Preconditions.of(request.headers))
    return _twin(device)


@ROUTES.post("/twins/{id}/methods")
async def invoke_method(request: web.Request) -> web.Response:
    """Direct methods are not emulated: 404103 for a device that is not connected, as in Azure, else 501."""
    device = _device(request)
    if device.session is None:
        raise device_not_online(device.device_id)
    raise HubError(501000, "NotImplemented", "The local IoT Hub does not carry direct methods.")


@ROUTES.post("/devices/query")
async def query(request: web.Request) -> web.Response:
    """A page of the twins that a query selects; the continuation is the device id to go on after."""
    services = request.app[SERVICES]
    services.throttles.check(Throttle.QUERY)
    text = (await json_object(request)).get("query")
    if not isinstance(text, str):
        raise invalid_argument("The query is missing.")
    parsed, size = Query.parse(text), _page_size(request)
    after = request.headers.get("x-ms-continuation", "")
    twins = (device.twin_document() for device in services.devices if device.device_id > after)
    found = [twin for twin in twins if parsed.matches(twin)]
    more = {"x-ms-continuation": found[size - 1]["deviceId"]} if len(found) > size else {}
    return answer(found[:size], headers={"x-ms-item-type": "Twin", **more})


def _page_size(request: web.Request) -> int:
    size = request.headers.get("x-ms-max-item-count", str(_PAGE))
    if not size.isdecimal() or not int(size):
        raise invalid_argument("x-ms-max-item-count must be a positive number.")
    return min(int(size), _MAX_PAGE)


def _device(request: web.Request) -> Device:
    return request.app[SERVICES].devices.get(request.match_info["id"])


def _twin(device: Device) -> web.Response:
    return answer(device.twin_document(), etag=device.twin.etag)
