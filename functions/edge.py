"""The edge of the HTTP functions: who calls, what they may send, and every error as a problem document.

A trigger that lists its methods makes Azure's host answer 404 for the others; ours list none, and answer 405 here.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import quote

import azure.functions as func
from msgspec import Struct

from shared.composition import app
from shared.schemas import answers, requests
from shared.schemas.access import NOBODY, Principal
from shared.schemas.problems import MEDIA_TYPE, MethodNotAllowed, headers_of, problem_of
from shared.schemas.queries import read_query
from shared.schemas.routes import DEVICE_ID, JSON, Route

_log = logging.getLogger(__name__)
_UNKEPT: Final = {"Cache-Control": "no-store"}
"""An answer is about who may do what now: no cache keeps it."""


@dataclass(frozen=True, slots=True)
class Call[Q: Struct, B: Struct]:
    """A request from a caller who may make it, its query and its body read. A route without a body has none here."""

    request: func.HttpRequest
    principal: Principal
    query: Q
    body: B

    @property
    def device_id(self) -> str:
        """The device in the path. Raises: Malformed."""
        return requests.device_id(self.request.route_params.get(DEVICE_ID))


@dataclass(frozen=True, slots=True)
class Reply:
    """What an operation answers. document: bytes are sent as they are."""

    document: Struct | bytes
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = JSON


type Handler[Q: Struct, B: Struct] = Callable[[Call[Q, B]], Awaitable[Reply]]
type Trigger = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


def serves[Q: Struct, B: Struct](
    blueprint: func.Blueprint, route: Route[Q, B]
) -> Callable[[Handler[Q, B]], Handler[Q, B]]:
    """Registers what is decorated as the trigger of a route: path, method, role and models are the table's."""

    def register(handle: Handler[Q, B]) -> Handler[Q, B]:
        async def trigger(request: func.HttpRequest) -> func.HttpResponse:
            return await respond(request, route, handle)

        bound = blueprint.route(route=route.path, trigger_arg_name="request", auth_level=func.AuthLevel.ANONYMOUS)
        blueprint.function_name(route.name)(bound(trigger))
        return handle

    return register


async def respond[Q: Struct, B: Struct](
    request: func.HttpRequest, route: Route[Q, B], handle: Handler[Q, B]
) -> func.HttpResponse:
    """The answer of `handle` where the request is the route's and its caller may; what goes wrong, as a problem."""
    try:
        return _response(await handle(_admitted(request, route)))
    except Exception as error:  # the runtime would answer an empty 500, and the caller could not tell what it was
        return _problem_response(error)


def accepted(device: answers.DeviceAnswer) -> Reply:
    """202: the work goes on, and the device's own document tells how far it is."""
    location = f"/api/devices/{quote(device.device_id, safe='')}"
    return Reply(device, HTTPStatus.ACCEPTED, {"Location": location})


def _admitted[Q: Struct, B: Struct](request: func.HttpRequest, route: Route[Q, B]) -> Call[Q, B]:
    if request.method.upper() not in route.allowed:
        raise MethodNotAllowed(route.allowed)
    principal = NOBODY
    if route.roles:
        principal = app.principals.principal(request.headers)
        principal.require(*route.roles)
    query = read_query(request.url, route.query)
    body = requests.read_body(request.get_body(), request.headers, route.body) if route.body else None
    return Call(request, principal, query, cast(Any, body))


def _response(reply: Reply) -> func.HttpResponse:
    body = reply.document if isinstance(reply.document, bytes) else answers.encode(reply.document)
    headers = {**_UNKEPT, **reply.headers}
    return func.HttpResponse(body, status_code=reply.status, headers=headers, mimetype=reply.media_type)


def _problem_response(error: Exception) -> func.HttpResponse:
    """The error on the wire, and in the log where it is ours."""
    problem = problem_of(error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s: %s", problem.type, error, exc_info=error)
    headers = {**_UNKEPT, **headers_of(error)}
    return func.HttpResponse(answers.encode(problem), status_code=problem.status, headers=headers, mimetype=MEDIA_TYPE)
