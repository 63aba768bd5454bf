"""The edge of the HTTP functions: who calls, what they may send, and every error as a problem document.

A trigger that lists its methods makes Azure's host answer 404 for the others; ours list none, and answer 405 here.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Literal
from urllib.parse import quote

import azure.functions as func
from msgspec import Struct

from shared.composition import app
from shared.schemas import answers, requests
from shared.schemas.access import Principal, Role
from shared.schemas.problems import (
    MEDIA_TYPE,
    BodyTooLarge,
    MethodNotAllowed,
    UnsupportedMediaType,
    headers_of,
    problem_of,
)

MAX_BODY_BYTES: Final = 64 * 1024
_JSON: Final = "application/json"
_ALLOWED: Final = {"GET": ("GET", "HEAD"), "POST": ("POST",)}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """A request from a caller who may make it."""

    request: func.HttpRequest
    principal: Principal

    @property
    def device_id(self) -> str:
        """The device in the path. Raises: Malformed."""
        return requests.device_id(self.request.route_params.get("deviceId"))

    def body[T](self, model: type[T]) -> T:
        """The body as what the operation takes. Raises: UnsupportedMediaType, BodyTooLarge, Malformed, Invalid."""
        media_type = (self.request.headers.get("content-type") or "").partition(";")[0].strip().lower()
        if media_type != _JSON:
            raise UnsupportedMediaType
        body = self.request.get_body()
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge(f"a body may have {MAX_BODY_BYTES} bytes")
        return requests.decode(body, model)


@dataclass(frozen=True, slots=True)
class Reply:
    """What an operation answers."""

    document: Struct
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


type Handler = Callable[[Call], Awaitable[Reply]]


async def respond(
    request: func.HttpRequest, method: Literal["GET", "POST"], role: Role, handle: Handler
) -> func.HttpResponse:
    """The answer of `handle` where the method fits and the caller has the role; whatever goes wrong, as a problem."""
    try:
        return response(await handle(Call(request, _admitted(request, method, role))))
    except Exception as error:  # the runtime would answer an empty 500, and the caller could not tell what it was
        return problem_response(error)


def response(reply: Reply) -> func.HttpResponse:
    """The reply on the wire; never kept by a cache, since it is about who may do what now."""
    headers = {"Cache-Control": "no-store", **reply.headers}
    return func.HttpResponse(answers.encode(reply.document), status_code=reply.status, headers=headers, mimetype=_JSON)


def problem_response(error: Exception) -> func.HttpResponse:
    """The error on the wire, and in the log where it is ours."""
    problem = problem_of(error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s: %s", problem.type, error, exc_info=error)
    headers = {"Cache-Control": "no-store", **headers_of(error)}
    return func.HttpResponse(answers.encode(problem), status_code=problem.status, headers=headers, mimetype=MEDIA_TYPE)


def accepted(device: answers.DeviceAnswer) -> Reply:
    """202: the work goes on, and the device's own document tells how far it is."""
    location = f"/api/devices/{quote(device.device_id, safe='')}"
    return Reply(device, HTTPStatus.ACCEPTED, {"Location": location})


def _admitted(request: func.HttpRequest, method: Literal["GET", "POST"], role: Role) -> Principal:
    if request.method.upper() not in _ALLOWED[method]:
        raise MethodNotAllowed(", ".join(_ALLOWED[method]))
    principal = app.principals.principal(request.headers)
    principal.require(role)
    return principal
