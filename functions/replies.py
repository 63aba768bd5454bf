"""Answers that several triggers give, and the version that a caller may ask for."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from functions.edge import Call, Reply
from shared.composition import app
from shared.errors import NotFound, PreconditionFailed
from shared.schemas.devices import device_answer
from shared.schemas.operations import operation_answer
from shared.schemas.versions import ANY, etag_of, etags
from shared.services.conditions import Condition, whatever_stands

if TYPE_CHECKING:  # for their names alone
    from shared.domain.operations import Operation
    from shared.domain.record import DeviceRecord


def shown(record: DeviceRecord) -> Reply:
    """A device, and its version."""
    device = device_answer(record)
    return Reply(device, headers={"ETag": etag_of(device)})


def accepted(record: DeviceRecord) -> Reply:
    """202: the work goes on, and the device's own document tells how far it is."""
    device = device_answer(record)
    location = f"/api/devices/{quote(device.device_id, safe='')}"
    return Reply(device, HTTPStatus.ACCEPTED, {"Location": location, "ETag": etag_of(device)})


def begun(operation: Operation) -> Reply:
    """202: the work goes on, and the operation tells how far it is."""
    location = f"/api/operations/{operation.id}"
    return Reply(operation_answer(operation), HTTPStatus.ACCEPTED, {"Location": location})


async def begun_before(call: Call[Any, Any]) -> Reply | None:
    """The operation that an earlier request with the key has begun, if it came so far. Raises: InfrastructureFault."""
    if not call.claim.is_again:
        return None
    services = await app.services()
    try:
        return begun(await services.operations.show(call.claim.id))
    except NotFound:
        return None


def condition(call: Call[Any, Any]) -> Condition:
    """That the device is as the caller knows it, where the caller says so by `If-Match`. Raises: Malformed."""
    if_match = call.request.headers.get("if-match")
    if if_match is None:
        return whatever_stands
    wanted = etags(if_match)

    def check(record: DeviceRecord | None) -> None:
        if record is None or not (wanted is ANY or etag_of(device_answer(record)) in wanted):
            raise PreconditionFailed("the device is not as it was known: read it again")

    return check
