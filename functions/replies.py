"""Answers that several triggers give, and the version that a caller may ask for."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from functions.edge import Call, Reply
from shared.composition import app
from shared.domain.operations import Operation
from shared.domain.record import DeviceRecord
from shared.errors import NotFound, PreconditionFailed
from shared.schemas.devices import device_answer
from shared.schemas.operations import operation_answer
from shared.schemas.versions import admits, etag_of


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


async def check_version(call: Call[Any, Any], device_id: str) -> None:
    """That the device is as the caller knows it, where the caller says so by `If-Match`.

    A change that comes between this look and the work is not seen: containment wins that race in any case.
    Raises: PreconditionFailed, Malformed, InfrastructureFault.
    """
    if_match = call.request.headers.get("if-match")
    if if_match is None:
        return
    services = await app.services()
    try:
        device = device_answer(await services.devices.show(device_id))
    except NotFound:
        device = None
    if not admits(if_match, device):
        raise PreconditionFailed(f"{device_id} has changed since it was read: read it again")
