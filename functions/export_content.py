"""`GET /api/operations/{operationId}/content`: the file that an export has written, in pieces that memory can hold."""

from __future__ import annotations

from http import HTTPStatus

import azure.functions as func

from functions.edge import Call, Reply, serves
from shared.composition import app
from shared.schemas.queries import NoQuery
from shared.schemas.ranges import ByteRange
from shared.schemas.routes import READ_EXPORT
from shared.schemas.routing import CSV, NoBody

blueprint = func.Blueprint()


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
