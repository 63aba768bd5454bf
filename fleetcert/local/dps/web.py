"""What DPS's two HTTP APIs share: versions, bodies, and errors as JSON."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from fleetcert.local.dps.errors import CODES, Refusal, bad_request
from shared.clock import Clock

_log = logging.getLogger(__name__)


def api_version(request: web.Request) -> str:
    """The query's `api-version`. Raises: Refusal 400 where it is missing."""
    version = request.query.get("api-version")
    if not version:
        raise bad_request("The query parameter api-version is missing")
    return version


async def json_body(request: web.Request) -> bytes:
    """The body, if it is said to be JSON. Raises: Refusal 415."""
    if request.content_type != "application/json":
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The content type has to be application/json")
    return await request.read()


async def read_document[T](request: web.Request, kind: type[T]) -> T:
    """The body as a document of this kind. Raises: Refusal 400 that names what is wrong, or 415."""
    try:
        return msgspec.json.decode(await json_body(request), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise bad_request(f"The body of the request is not valid: {problem}") from problem


def errors_as_json(clock: Clock) -> Middleware:
    """A middleware that answers every refusal with DPS's body and headers."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal as refusal:
            return refusal_response(refusal, clock)
        except web.HTTPException as problem:
            return refusal_response(_as_refusal(problem), clock)
        except Exception:  # the last resort: the caller gets a documented 500, the log the reason
            _log.exception("%s %s failed", request.method, request.path)
            return refusal_response(Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal server error"), clock)

    return middleware


def refusal_response(refusal: Refusal, clock: Clock) -> web.Response:
    """The refusal as an HTTP response."""
    body: dict[str, Any] = refusal.body(clock.now())
    headers = {"x-ms-error-code": str(refusal.code), "x-ms-request-id": body["trackingId"]}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    return web.json_response(body, status=refusal.status, headers=headers)


def _as_refusal(problem: web.HTTPException) -> Refusal:
    status = HTTPStatus(problem.status)
    return Refusal(status if status in CODES else HTTPStatus.BAD_REQUEST, status.phrase)
