"""`POST /api/fleet/exports` and `GET /api/operations/{operationId}/content`: the list of devices as a file."""

from __future__ import annotations

from http import HTTPStatus

import azure.functions as func

from functions.edge import Call, Reply, serves
from functions.replies import begun, begun_before
from shared.composition import app
from shared.schemas.queries import ExportRequest, NoQuery
from shared.schemas.ranges import ByteRange
from shared.schemas.routes import EXPORT_FLEET, READ_EXPORT
from shared.schemas.routing import CSV, NoBody

blueprint = func.Blueprint()


@serves(blueprint, EXPORT_FLEET)
async def export_fleet(call: Call[NoQuery, ExportRequest]) -> Reply:
    """Begins an operation, whose content is the file."""
    if (before := await begun_before(call)) is not None:
        return before
    wanted = call.body
    services = await app.services()
    await services.limit.admit()
    return begun(await services.exports.start(wanted.filter, call.principal.actor, wanted.reason, call.claim.id))


@serves(blueprint, READ_EXPORT)
async def read_export(call: Call[NoQuery, NoBody]) -> Reply:
    """The file, or a part of it."""
    identifier, wanted = call.operation_id, ByteRange.read(call.request.headers.get("range"))
    services = await app.services()
    piece = await services.exports.read(identifier, wanted.start, wanted.length)
    wanted.check(piece.size)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'attachment; filename="fleet-{identifier}.csv"',
        "ETag": f'"{piece.version}"',
    }
    if not wanted.is_asked:
        return Reply(piece.content, headers=headers, media_type=CSV)
    last = wanted.start + len(piece.content) - 1
    headers["Content-Range"] = f"bytes {wanted.start}-{last}/{piece.size}"
    return Reply(piece.content, HTTPStatus.PARTIAL_CONTENT, headers, CSV)
